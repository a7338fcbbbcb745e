# `docker build -t ticker .` makes an image that holds one static binary and nothing else.
# It needs no BuildKit: the classic builder, podman and buildah build it too.

# Alpine's toolchain targets musl, so the binary is static and runs in an empty image.
FROM docker.io/library/rust:1.95-alpine AS build
RUN apk add --no-cache gcc musl-dev
WORKDIR /src

# Dependencies first, with stubs in place of our own code: until Cargo.toml or Cargo.lock changes, this
# layer comes from the cache. Cargo would look for the files of the benches and tests that Cargo.toml
# names, so their sections go.
COPY Cargo.toml Cargo.lock ./
RUN sed -i -E '/^\[\[(bench|example|test)]]$/,/^$/d' Cargo.toml \
    && mkdir src \
    && echo 'fn main() {}' | tee build.rs > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked

# Cargo goes by modification times: without `touch`, sources older than the stubs would count as built.
COPY build.rs ./
COPY proto proto
COPY src src
RUN touch build.rs src/lib.rs src/main.rs \
    && cargo install --locked --path . --root /out

FROM scratch
# Where the sources are, which version they are, and the commit.
ARG SOURCE
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="ticker" \
      org.opencontainers.image.description="A live market ticker over gRPC" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/bin/ticker /ticker
# A number, not a name: Kubernetes can only tell that a number is not root, and there is no /etc/passwd here.
USER 65532:65532
# Inside a container the loopback default would reach nobody.
ENV TICKER_LISTEN=0.0.0.0:50051
EXPOSE 50051
# The exec form: there is no shell here. Kubernetes ignores this and uses its own gRPC probes.
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s CMD ["/ticker", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/ticker"]
