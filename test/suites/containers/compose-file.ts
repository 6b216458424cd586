// docker-compose.yml as the tests read it: variables replaced by their defaults, anchors and merges resolved.
import { readFileSync } from "node:fs";
import { parse } from "yaml";

export interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly target: string };
  readonly profiles?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly ports?: readonly string[];
  readonly networks?: readonly string[] | Readonly<Record<string, { readonly aliases: readonly string[] }>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly stop_grace_period?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly deploy?: { readonly resources: { readonly limits: { readonly cpus: string; readonly memory: string } } };
}

export interface Compose {
  readonly name: string;
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

/** `${NAME:-default}` becomes the value of `variables`, or the default. */
export function composeFile(variables: Readonly<Record<string, string>> = {}): Compose {
  const filled = (_key: unknown, value: unknown): unknown => {
    if (typeof value !== "string") return value;
    return value.replaceAll(/\$\{(\w+):-([^}]*)\}/gu, (_, name: string, usual: string) => variables[name] ?? usual);
  };
  return parse(readFileSync("docker-compose.yml", "utf8"), filled, { merge: true }) as Compose;
}
