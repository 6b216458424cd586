#!/bin/sh
# What onnxruntime-node's installer fetched goes to /provider: the CUDA provider and what it shares, not TensorRT's. Says what it is linked to; refuses another digest
# than CUDA_PROVIDER_SHA256, if that is set. Run in the build, in /app.
set -eu
from=node_modules/onnxruntime-node/bin/napi-v6/linux/x64
mkdir /provider
mv "$from/libonnxruntime_providers_cuda.so" "$from/libonnxruntime_providers_shared.so" /provider/

cd /provider
readelf --dynamic libonnxruntime_providers_cuda.so | grep NEEDED
sha256sum libonnxruntime_providers_*.so
if [ -n "${CUDA_PROVIDER_SHA256:-}" ]; then
  echo "$CUDA_PROVIDER_SHA256  libonnxruntime_providers_cuda.so" | sha256sum --check
fi
