# The image of the cloud: cloud-decoder, ONNX Runtime and the bundles. Build it in the root of the clone:
#   docker build -f deploy/cloud.Dockerfile -t lopside-cloud .
FROM rust:1-bookworm AS build
WORKDIR /src
# Installs the pinned toolchain, if the image contains another one, into a layer that both images share.
COPY rust-toolchain.toml .
RUN rustc --version
# ONNX Runtime: the library of the pinned wheel. pip only downloads the wheel and checks its digest.
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip \
    && rm -rf /var/lib/apt/lists/*
COPY xtask/onnxruntime.txt /tmp/
RUN python3 -m pip download --require-hashes --no-deps --no-cache-dir --only-binary=:all: --implementation cp \
        --python-version 3.12 --abi cp312 --platform "manylinux_2_28_$(uname -m)" -r /tmp/onnxruntime.txt -d /tmp/wheel \
    && python3 -m zipfile -e /tmp/wheel/*.whl /tmp/wheel \
    && mkdir /onnxruntime \
    && cd /tmp/wheel/onnxruntime \
    && cp LICENSE ThirdPartyNotices.txt /onnxruntime/ \
    && cp capi/libonnxruntime.so.* /onnxruntime/libonnxruntime.so
COPY . .
# Cargo's lock on the registry is outside the cached folder, so only one build may use the cache at a time.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release -p cloud-decoder \
    && cp target/release/cloud-decoder /

# The image contains only the binary, ONNX Runtime, the system libraries that they need, bundles and licences.
FROM debian:bookworm-slim AS files
# The modes are set explicitly, because those of the clone depend on the umask of its user.
COPY --from=build --chmod=0755 /onnxruntime /image/usr/local/lib/onnxruntime
COPY --from=build --chmod=0755 /cloud-decoder /image/usr/local/bin/
COPY --chmod=0755 bundles /image/bundles
COPY --chmod=0644 NOTICE LICENSE-MIT LICENSE-APACHE /image/usr/share/doc/lopside/
RUN ldd /image/usr/local/bin/cloud-decoder /image/usr/local/lib/onnxruntime/libonnxruntime.so \
        | awk '$2 == "=>" { print $3 } $1 ~ /^\/.*ld-/ { print $1 }' | sort -u \
        | xargs -I{} cp --dereference --parents {} /image \
    && cp --dereference --parents /lib/*-linux-gnu/libnss_dns.so.2 /lib/*-linux-gnu/libresolv.so.2 /etc/nsswitch.conf /image

FROM scratch
LABEL org.opencontainers.image.title="Lopside cloud decoder" \
      org.opencontainers.image.description="Serves the deep decoder with ONNX Runtime over gRPC and REST" \
      org.opencontainers.image.vendor="The Lopside developers" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=files /image /
ENV ORT_DYLIB_PATH=/usr/local/lib/onnxruntime/libonnxruntime.so
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 CMD ["/usr/local/bin/cloud-decoder", "health"]
ENTRYPOINT ["/usr/local/bin/cloud-decoder"]
CMD ["serve", "--listen", "0.0.0.0:8080", "--bundle", "/bundles"]
