#!/usr/bin/env bash
# Builds and runs the benchmarks: each runs the peer and us alternately and prints ratios.
set -euo pipefail
build=$1
ninja -C "$build" store_server store_bench
exec "$build/bench/store/store_bench" "${@:2}"
