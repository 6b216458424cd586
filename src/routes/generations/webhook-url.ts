// What can be told of a webhook_url before anything is sent: the rest is checked at the moment of connecting (queue/webhooks.ts).
import type { Config } from "../../config/config.js";
import { AppError } from "../../errors.js";
import { isPublicAddress, literalAddress } from "../../queue/webhooks/webhook-address.js";

/** The URL as it will be called; throws AppError "validation" naming `webhook_url`. */
export function checkedWebhookUrl(
  sent: string,
  { webhookSecret, webhookPrivate }: Pick<Config, "webhookSecret" | "webhookPrivate">,
): string {
  if (webhookSecret === null) return refuse("this server calls no webhooks: it has no WEBHOOK_SECRET to sign with");
  const url = URL.canParse(sent) ? new URL(sent) : refuse("must be an absolute URL");
  if (url.protocol !== "https:" && url.protocol !== "http:") return refuse("must begin with https:// or http://");
  if (url.username !== "" || url.password !== "") return refuse("must not hold a user name or password");
  const literal = literalAddress(url);
  if (webhookPrivate === "refuse" && literal !== null && !isPublicAddress(literal)) {
    return refuse("leads to an address that is not public");
  }
  url.hash = "";
  return url.href;
}

function refuse(reason: string): never {
  throw new AppError("validation", `webhook_url: ${reason}`, { field: "webhook_url" });
}
