#!/usr/bin/env bash
# Makes models of 0.5B and 1B shape with random weights in $BUILD/shapes and runs `reprise bench kv` on each.
set -euo pipefail
cd "$(dirname "$0")/.."
build="${BUILD:-build}"
vocabulary="${XDG_DATA_HOME:-$HOME/.local/share}/reprise/models/SmolLM2-135M-Instruct.Q4_1.gguf"
mkdir -p "$build/shapes"
for shape in qwen2.5-0.5b llama-3.2-1b; do
  for type in q4_0 f16; do
    name="$build/shapes/$shape-$type"
    [[ -f $name.gguf ]] || "$build/bench/make_shaped_model" "$shape" "$type" "$vocabulary" "$name.gguf"
    echo "== $shape, $type"
    "$build/reprise" bench kv "$name.gguf" --contexts 128,1024 --runs 3 \
      --json "$name.json" --html "$name.html"
  done
done
