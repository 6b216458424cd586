#!/bin/sh
# Of the binaries for every platform that two packages carry, keeps those of this one; drops types and source maps, which only people read, builds for browsers, and tables of
# sizes that nobody asks for. Sees that what is left loads.
# Run in the build, in /app.
set -eu
arch=$(node -p process.arch)

cd node_modules
find onnxruntime-node/bin/napi-v6 -mindepth 1 -maxdepth 1 ! -name linux -exec rm -r {} +
find onnxruntime-node/bin/napi-v6/linux -mindepth 1 -maxdepth 1 ! -name "$arch" -exec rm -r {} +
find tokenizers -name '*.node' ! -name "tokenizers.linux-$arch-gnu.node" -delete
find . -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete
find @opentelemetry -type d \( -path '*/build/esm' -o -path '*/build/esnext' \) -prune -exec rm -r {} +
find eld/src/ngrams -type f ! -name small.js -delete

cd ..
node -e 'require("onnxruntime-node"); require("tokenizers"); require("@opentelemetry/exporter-trace-otlp-proto"); require("@opentelemetry/sdk-trace")'
node --input-type=module -e 'await import("eld/small")'
