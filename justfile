# Habits of this project; `just` lists them. Each line also works without just.

_default:
    @just --list --unsorted

# Run all tests, or those that the filter names
test *filter:
    cargo test --release --workspace --locked {{ filter }}

# Check formatting, lints and documentation; warnings are errors
lint:
    cargo fmt --all -- --check
    cargo clippy --release --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --locked

# Time the kernels, or the one that the filter names
bench *filter:
    cargo bench --locked --bench kernels {{ filter }}

# Time whole runs against pyDVL, kronfluence, dattri and curvlinops; needs Python and a network connection
peers folder:
    python3 benches/peers/compare.py --work {{ folder }}

# Build the reference, and the guide where mdbook is installed
docs:
    cargo doc --release --workspace --no-deps --locked
    if command -v mdbook; then mdbook build docs --dest-dir "$PWD/target/book" && .ci/links target/book; else echo "SKIPPED: mdbook is not installed"; fi

# Recompute the references of methods and layers and compare; needs Python with numpy, jax, torch, safetensors, onnx and onnxruntime
golden:
    python3 tests/golden/make_references.py --check
    python3 tests/golden/make_layers.py --check
    python3 crates/onnx/tests/golden/operators.py --check

# Run the demonstration
demo:
    cargo run --release --locked --bin influence -- demo

# Run everything that decides whether a change is good
ci:
    .ci/run
