#!/usr/bin/env bash
# Installs what building and testing Roadstead needs from Debian's packages. Idempotent: asks apt only for what is
# missing. Needs root or sudo only then.
set -euo pipefail

packages=(
  # toolchain
  clang-19 lld-19 clang-format-19 clang-tidy-19 llvm-19 libclang-rt-19-dev cmake ninja-build ccache make pkg-config git patch python3
  # libraries
  libboost1.81-dev libboost-json1.81-dev libnghttp2-dev libssl-dev libcrypt-dev librocksdb-dev libmimalloc-dev
  libyaml-cpp-dev libfmt-dev libcli11-dev libsqlite3-dev libgtest-dev libgmock-dev libbenchmark-dev
  # what a node uses at run time
  iproute2 nftables containernetworking-plugins
  # peers and clients in tests
  curl ca-certificates unzip etcd-client etcd-server python3-etcd3 nghttp2-client
)
command -v npm >/dev/null 2>&1 || packages+=(npm)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  run=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "setup: these packages are missing and neither root nor sudo is at hand: ${missing[*]}" >&2; exit 1; }
    run=(sudo)
  fi
  echo "setup: installing ${#missing[@]} Debian packages: ${missing[*]}"
  export RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive   # no daemon is started by its package
  "${run[@]}" apt-get update -qq
  "${run[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
echo "setup: all ${#packages[@]} packages are there"
