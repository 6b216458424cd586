# The server's image. Targets: cpu (the default) and cuda. How to build and run it, sizes and what was tried: docs/containers.md
#
#   tools ────tini────────────────────────┐
#   modules ──node_modules────────────────┼──▶ cpu
#      │      files: dist bin web models ─┤
#      └────▶ cuda-provider ──.so files───┴──▶ cuda
ARG NODE_IMAGE=node:24.21.0-bookworm-slim
ARG CUDA_IMAGE=nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04
# Where the package feed is out of reach: an image of your own with the provider's .so files in /provider.
ARG CUDA_PROVIDER=cuda-provider

FROM ${NODE_IMAGE} AS node
WORKDIR /app

# As process 1 node would not hear a SIGTERM that comes before its handlers are there.
FROM node AS tools
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates binutils tini \
  && rm -rf /var/lib/apt/lists/*

FROM node AS modules
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev
# Copied, not mounted: not every builder looks at what is mounted when it asks its cache.
COPY deploy/image/this-platform-only.sh /tmp/
RUN sh /tmp/this-platform-only.sh

FROM node AS build
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json ./
COPY src/ src/
RUN npx tsc -p tsconfig.json --sourceMap false

FROM scratch AS files
COPY --from=build /app/dist/ /app/dist/
COPY package.json LICENSE /app/
COPY bin/ /app/bin/
COPY web/ /app/web/
COPY models/ /models/

# ONNX Runtime's CUDA provider (x64), by onnxruntime-node's own installer, which .npmrc keeps from running elsewhere. It checks no digest: we do.
FROM tools AS cuda-provider
ARG CUDA_PROVIDER_SHA256=""
COPY --from=modules /app/node_modules/ node_modules/
RUN ONNXRUNTIME_NODE_INSTALL=true node node_modules/onnxruntime-node/script/install.js
RUN --mount=type=bind,source=deploy/image,target=/image sh /image/take-cuda-provider.sh

FROM ${CUDA_PROVIDER} AS provider

FROM ${CUDA_IMAGE} AS cuda
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=tools /usr/bin/tini-static /usr/local/bin/tini
COPY --from=modules /app/node_modules/ /app/node_modules/
COPY --from=provider /provider/ /app/node_modules/onnxruntime-node/bin/napi-v6/linux/x64/
RUN --mount=type=bind,source=deploy/image,target=/image sh /image/check-cuda.sh
COPY --from=files / /
RUN install -d -m 1777 /cache
ENV NODE_ENV=production ORT_DISABLE_TELEMETRY=1 HOST=0.0.0.0 PORT=8080 MODELS_DIR=/models CACHE_DIR=/cache
WORKDIR /app
USER 1000:1000
VOLUME ["/cache"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10m --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/ready`).then(({ ok }) => process.exit(Number(!ok)), () => process.exit(1))"]
ENTRYPOINT ["tini", "--", "node", "--v8-pool-size=1", "/app/bin/seqserve.js"]
ARG VERSION=0.1.0
ARG REVISION=""
ARG CREATED=""
LABEL org.opencontainers.image.title="seqserve" \
  org.opencontainers.image.description="The server for exported encoder-decoder (seq2seq) ONNX models, with CUDA" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.created="${CREATED}"

# The last stage is what a build without --target makes. Its lines are those of cuda, without the provider.
FROM node AS cpu
COPY --from=tools /usr/bin/tini-static /usr/local/bin/tini
COPY --from=modules /app/node_modules/ /app/node_modules/
COPY --from=files / /
RUN install -d -m 1777 /cache
ENV NODE_ENV=production ORT_DISABLE_TELEMETRY=1 HOST=0.0.0.0 PORT=8080 MODELS_DIR=/models CACHE_DIR=/cache
WORKDIR /app
USER 1000:1000
VOLUME ["/cache"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10m --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/ready`).then(({ ok }) => process.exit(Number(!ok)), () => process.exit(1))"]
ENTRYPOINT ["tini", "--", "node", "--v8-pool-size=1", "/app/bin/seqserve.js"]
ARG VERSION=0.1.0
ARG REVISION=""
ARG CREATED=""
LABEL org.opencontainers.image.title="seqserve" \
  org.opencontainers.image.description="The server for exported encoder-decoder (seq2seq) ONNX models" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.created="${CREATED}"
