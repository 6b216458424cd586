#!/bin/sh
# Sees that the CUDA provider finds every library it is linked to in this image. Only libcuda.so.1 may be missing: it comes with the host's driver, at run time.
# Run in the build of target cuda.
set -eu
bin=/app/node_modules/onnxruntime-node/bin/napi-v6/linux/x64

missing=$(ldd /usr/local/bin/node "$bin"/*.node "$bin"/*.so* | awk '/not found/ && $1 != "libcuda.so.1"' | sort -u)
if [ -n "$missing" ]; then
  echo "Missing in this base image (the provider wants another CUDA than it has):" >&2
  echo "$missing" >&2
  exit 1
fi
# Loaded by name when a graph wants it, so ldd does not see it.
ldconfig -p | grep -q 'libcudnn\.so\.9 ' || { echo "No libcudnn.so.9 in this base image: take one with cudnn in its tag" >&2; exit 1; }
node -e 'require("/app/node_modules/onnxruntime-node")'
