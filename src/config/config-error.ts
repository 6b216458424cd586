// What a person wrote wrongly: a setting, a command, an option. Thrown by config.ts and command-line.ts, shown by server.ts.

/** The message is one line that names what is wrong. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}
