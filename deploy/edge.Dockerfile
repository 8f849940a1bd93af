# The image of the edge: edge-encoder, the encoder's part of the bundle, sample images. Build it in the root of the clone:
#   docker build -f deploy/edge.Dockerfile -t lopside-edge .
FROM rust:1-bookworm AS build
WORKDIR /src
# Installs the pinned toolchain, if the image contains another one, into a layer that both images share.
COPY rust-toolchain.toml .
RUN rustc --version
COPY . .
# Cargo's lock on the registry is outside the cached folder, so only one build may use the cache at a time.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target \
    cargo build --locked --profile size -p edge-encoder \
    && cp target/size/edge-encoder /

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Lopside edge encoder" \
      org.opencontainers.image.description="Runs the shallow encoder at the edge and sends compact latents" \
      org.opencontainers.image.vendor="The Lopside developers" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# The modes are set explicitly, because those of the clone depend on the umask of its user.
COPY --from=build --chmod=0755 /edge-encoder /usr/local/bin/
COPY --chmod=0644 \
    bundles/fashion/README.md bundles/fashion/bundle.json bundles/fashion/encoder.onnx bundles/fashion/tables.bin \
    /bundles/fashion/
COPY --chmod=0755 bundles/fashion/golden /bundles/fashion/golden
COPY --chmod=0755 samples /samples
COPY --chmod=0644 NOTICE LICENSE-MIT LICENSE-APACHE /usr/share/doc/lopside/
ENV LOPSIDE_BUNDLE=/bundles/fashion
USER 10001:10001
ENTRYPOINT ["/usr/local/bin/edge-encoder"]
CMD ["--help"]
