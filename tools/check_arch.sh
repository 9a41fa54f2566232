#!/usr/bin/env bash
# Compiles the kernels for aarch64 (NEON, with and without integer dot products): nothing here runs them.
# Usage: tools/check_arch.sh LLAMA_CPP_SOURCE
set -euo pipefail
cd "$(dirname "$0")/.."
llama_cpp=${1:?the folder of llama.cpp\'s source}
compiler=aarch64-linux-gnu-g++
if ! command -v "$compiler" > /dev/null; then
  echo "check-arch: installing g++-aarch64-linux-gnu"
  if [ "$(id -u)" -eq 0 ]; then sudo=; else sudo=sudo; fi
  $sudo apt-get install -y --no-install-recommends g++-aarch64-linux-gnu > /dev/null
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Highway's headers alone: the rest of /usr/include is this machine's.
ln -s /usr/include/hwy "$work/hwy"
n=0
for file in $(grep -l 'foreach_target.h' src/core/kernels/*.cc | grep -v _test); do
  for cpu in armv8-a armv8.2-a+dotprod; do
    "$compiler" -std=c++20 -O1 -Wall -Wextra -march="$cpu" \
      "-DHWY_DISABLED_TARGETS=(HWY_SVE|HWY_SVE2|HWY_SVE_256|HWY_SVE2_128)" -Isrc -isystem "$work" -isystem "$llama_cpp/ggml/include" \
      -c "$file" -o "$work/kernel.o"
    n=$((n + 1))
  done
done
echo "check-arch: $n objects compiled for aarch64; none of them was run"
