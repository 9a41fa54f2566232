#!/usr/bin/env bash
# Installs the Debian packages that the build, the tests and the demo need. Does nothing when all are there.
# Usage: setup.sh [fuzz]; fuzz: what `make fuzz` needs besides
set -euo pipefail
packages=(
  build-essential patch cmake ninja-build ccache clang-format clang-tidy python3 python3-pip
  nlohmann-json3-dev libcli11-dev libedit-dev libfmt-dev libspdlog-dev libhwy-dev libgtest-dev libgmock-dev libbenchmark-dev
  pkgconf libpng-dev libavformat-dev libavcodec-dev libswscale-dev
  libchipmunk-dev
)
[[ ${1:-} != fuzz ]] || packages+=(clang libclang-rt-dev)  # libFuzzer and the sanitizers come with the second
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
((${#missing[@]} == 0)) && exit 0
echo "setup: installing ${missing[*]}"
as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || {
    echo "setup: not root and no sudo; install these yourself: ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq || echo "setup: apt-get update failed; trying the old package lists" >&2
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || {
  echo "setup: apt-get could not install: ${missing[*]}; check the network, then run 'make setup' again" >&2
  exit 1
}
