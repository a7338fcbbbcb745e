# `docker build -t ticker .` makes an image that holds one static binary and nothing else.
# It needs no BuildKit: the classic builder, podman and buildah build it too.
#
# An image for another architecture is cross-compiled: the compiler runs on the machine that builds. BuildKit, podman and buildah
# say what that is and what is wanted (BUILDPLATFORM, TARGETARCH):
#
#   docker buildx build --platform linux/amd64,linux/arm64 -t REGISTRY/ticker:0.1.0 --push .
#
# To keep downloads and compiled crates between builds, BuildKit can mount caches: add
# `--mount=type=cache,target=/usr/local/cargo/registry` after both `RUN`s of cargo. The classic builder refuses that.

# The digest is that of the list of all architectures. Another base: --build-arg BASE=…
ARG BASE=docker.io/library/rust:1.95-alpine@sha256:606fd313a0f49743ee2a7bd49a0914bab7deedb12791f3a846a34a4711db7ed2
# The classic builder does not set it.
ARG BUILDPLATFORM=${BUILDPLATFORM:-linux/amd64}

# Alpine's toolchain targets musl, so the binary is static and runs in an empty image.
FROM --platform=$BUILDPLATFORM $BASE AS build
RUN apk add --no-cache gcc musl-dev
ARG TARGETARCH
# For another architecture clang compiles C, with the headers of that architecture's musl, and LLVM's linker links.
RUN touch /cross.env && case "${TARGETARCH:-$(uname -m)}" in \
        amd64|x86_64) arch=x86_64 ;; \
        arm64|aarch64) arch=aarch64 ;; \
        *) echo "there is no target for TARGETARCH=$TARGETARCH: use amd64 or arm64" >&2; exit 1 ;; \
    esac \
    && if [ $arch != "$(uname -m)" ]; then \
        target=$arch-unknown-linux-musl \
        && apk add --no-cache clang \
        && apk add --no-cache --no-scripts --initdb --root /sysroot --arch $arch --keys-dir /usr/share/apk/keys \
            --repositories-file /etc/apk/repositories musl-dev \
        && rustup target add $target \
        && printf 'export %s\n' \
            CARGO_BUILD_TARGET=$target \
            CC_${arch}_unknown_linux_musl=clang \
            CFLAGS_${arch}_unknown_linux_musl=--sysroot=/sysroot \
            "CARGO_TARGET_$(echo $arch | tr a-z A-Z)_UNKNOWN_LINUX_MUSL_LINKER=rust-lld" \
            > /cross.env; \
    fi
WORKDIR /src

# Dependencies first, with stubs in place of our own code: until Cargo.toml or Cargo.lock changes, this
# layer comes from the cache. Cargo would look for the files of the benches and tests that Cargo.toml
# names, so their sections go.
COPY Cargo.toml Cargo.lock ./
# With NATS, for feeds that replicas share (--build-arg FEATURES=cli,nats,server), the binary takes 2.6 MB more.
ARG FEATURES=cli,server
# Without the names of functions, which take 2 MB, and without what a slower link finds to be superfluous, which takes 0.5 MB.
ENV CARGO_PROFILE_RELEASE_STRIP=symbols \
    CARGO_PROFILE_RELEASE_LTO=fat
RUN sed -i -E '/^\[\[(bench|example|test)]]$/,/^$/d' Cargo.toml \
    && mkdir src \
    && echo 'fn main() {}' | tee build.rs > src/main.rs \
    && touch src/lib.rs \
    && . /cross.env \
    && cargo build --release --locked --no-default-features --features "$FEATURES"

# Cargo goes by modification times: without `touch`, sources older than the stubs would count as built.
COPY build.rs ./
COPY proto proto
COPY web/dist web/dist
COPY src src
RUN touch build.rs src/lib.rs src/main.rs \
    && . /cross.env \
    && cargo install --locked --no-default-features --features "$FEATURES" --path . --root /out

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
