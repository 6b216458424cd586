// Loads OpenTelemetry, and only where an endpoint is set.
import type { Config } from "../../config/config.js";
import type { Logger } from "../log.js";
import { version } from "../../version.js";
import type { Tracing } from "./spans.js";

export type TracingConfig = Pick<
  Config,
  "otlpEndpoint" | "otlpHeaders" | "otelServiceName" | "otelTracesSamplerArg" | "role" | "logLevel"
>;

/** Null without OTEL_EXPORTER_OTLP_ENDPOINT. */
export async function openTracing(config: TracingConfig, log: Logger): Promise<Tracing | null> {
  const { otlpEndpoint, otlpHeaders, otelServiceName, otelTracesSamplerArg, role } = config;
  if (otlpEndpoint === null) return null;
  const { OtlpTracing } = await import("./otlp.js");
  return new OtlpTracing({
    url: `${otlpEndpoint.replace(/\/+$/u, "")}/v1/traces`,
    headers: otlpHeaders,
    ratio: otelTracesSamplerArg,
    resource: { "service.name": otelServiceName, "service.version": version, "seqserve.role": role },
    onFailure: (error, failures) => log.warn({ reason: error.message, failures }, "traces could not be sent"),
  });
}
