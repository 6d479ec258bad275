#!/usr/bin/env bash
# Runs fuzz targets from the seeds kept, each for so long; what adds coverage is put into out/fuzz, what fails too.
# usage: run.sh SECONDS [TARGET ...]     default: every target; KEEP=1 adds what it found, minimised, to the seeds
set -euo pipefail
cd "$(dirname "$0")/../.."
version=0.13.2
seconds=${1:-300}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(parser frames_model frames_cu frames_verilog connections_model connections_cu connections_verilog)

fail() {
    echo "fuzz: $*" >&2
    exit 1
}
command -v c++ >/dev/null || fail "no C++ compiler, which libFuzzer is built with: c++"
rustup run nightly cargo --version >/dev/null 2>&1 ||
    fail "no nightly toolchain, which cargo-fuzz needs: rustup toolchain install nightly --profile minimal"
[ "$(.tools/bin/cargo-fuzz --version 2>/dev/null)" = "cargo-fuzz $version" ] ||
    cargo install --quiet --locked --version "$version" --root .tools cargo-fuzz ||
    fail "cargo-fuzz $version could not be installed: is the crate registry reachable?"

export RUSTUP_TOOLCHAIN=nightly
# Safe Rust: an address sanitizer would cost twice the time and find nothing.
fuzz() {
    .tools/bin/cargo-fuzz "$1" --fuzz-dir testbench/fuzz --sanitizer none --target-dir target/fuzz "${@:2}"
}
# All before the first runs: what does not build is told of at once, and not after an hour.
for target in "${targets[@]}"; do
    echo "fuzz: building $target (the first of them takes ten minutes or more, with all that it needs)"
    fuzz build "$target" || fail "$target does not build"
done
for target in "${targets[@]}"; do
    # Whole connections begin alike, whoever they are with, and so do the frames of the one model and the other.
    seeds=${target/connections_verilog/connections_model}
    found=out/fuzz/$target seeds=testbench/fuzz/seeds/${seeds/_cu/_model}
    mkdir -p "$found"
    fuzz run "$target" "$found" "$seeds" -- -max_total_time="$seconds" -max_len=1024 -timeout=600 \
        -print_final_stats=1 -artifact_prefix="$PWD/out/fuzz/$target-" ||
        fail "$target: what it failed on is in out/fuzz; once mended, put it into $seeds, so that it stays mended"
    if [ "${KEEP:-}" = 1 ]; then
        # Edges alone, not how often: a few hundred small files at most, for every test run goes through them.
        fuzz run "$target" "$seeds" "$found" -- -set_cover_merge=1 -use_counters=0 -max_len=400
    fi
done
