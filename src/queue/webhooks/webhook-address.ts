// Which addresses a webhook may be sent to: those of the public internet. Pure. webhooks.ts asks for the address it really connects to.
import { BlockList, isIP } from "node:net";

// IANA's special-purpose registry for IPv4, and multicast and reserved space.
const closedIpv4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];

// Inside 2000::/3: Teredo, ORCHID and other assignments of IETF protocols, documentation, 6to4. All of them may hold or hide an IPv4 address.
const closedIpv6: readonly (readonly [string, number])[] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
];

const ipv4 = listOf(closedIpv4, "ipv4");
const ipv6 = listOf(closedIpv6, "ipv6");
// Everything else is loopback, mapped, NAT64, unique local, link-local, multicast or not assigned.
const globalIpv6 = listOf([["2000::", 3]], "ipv6");

/** Whether an IPv4 or IPv6 address belongs to the public internet. False for anything that is no address. */
export function isPublicAddress(address: string): boolean {
  const kind = isIP(address);
  if (kind === 4) return !ipv4.check(address, "ipv4");
  // A zone such as %eth0 is only there for link-local addresses.
  return kind === 6 && !address.includes("%") && globalIpv6.check(address, "ipv6") && !ipv6.check(address, "ipv6");
}

/** The address that a URL's host names literally, without brackets; null for a name. */
export function literalAddress(url: URL): string | null {
  const host = url.hostname.replace(/^\[|\]$/gu, "");
  return isIP(host) === 0 ? null : host;
}

function listOf(blocks: readonly (readonly [string, number])[], kind: "ipv4" | "ipv6"): BlockList {
  const list = new BlockList();
  for (const [network, prefix] of blocks) list.addSubnet(network, prefix, kind);
  return list;
}
