#!/usr/bin/env bash
# Fetches the pinned source release that carries llama.cpp into the download folder, and checks its sha256.
# Does nothing when the file is already there and whole. CMake unpacks it (cmake/llama_cpp.cmake).
set -euo pipefail
cd "$(dirname "$0")"
read -r package version sha256 < <(grep -v '^#' llama_cpp.pin)
folder="${REPRISE_DOWNLOADS:-${XDG_CACHE_HOME:-$HOME/.cache}/reprise}"
archive="$folder/${package//-/_}-$version.tar.gz"

whole() { [[ -f $archive ]] && echo "$sha256  $archive" | sha256sum --check --status; }

whole && exit 0
mkdir -p "$folder"
staging=$(mktemp -d "$folder/fetch.XXXXXX")
trap 'rm -rf "$staging"' EXIT
echo "source: fetching $package $version (77 MB)"
# pip runs the release's build backend to read its metadata: the constraint pins that backend too.
printf 'scikit-build-core==0.12.2\n' >"$staging/constraints.txt"
PIP_CONSTRAINT="$staging/constraints.txt" python3 -m pip download --quiet --disable-pip-version-check \
  --no-deps --no-binary "$package" --dest "$staging" "$package==$version" || {
  echo "source: the download of $package $version failed; check the network and run 'make source' again," \
    "or put the file there yourself: $archive (sha256 $sha256)" >&2
  exit 1
}
mv "$staging"/*.tar.gz "$archive"
whole || {
  rm -f "$archive"
  echo "source: $package $version does not have sha256 $sha256; the file was removed, nothing was built" >&2
  exit 1
}
