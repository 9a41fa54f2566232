#!/usr/bin/env bash
# Makes models of 0.5B and 1B shape with random weights in $BUILD/shapes and runs `reprise bench kv` on each.
set -euo pipefail
cd "$(dirname "$0")/.."
build="${BUILD:-build}"
vocabulary="${XDG_DATA_HOME:-$HOME/.local/share}/reprise/models/SmolLM2-135M-Instruct.Q4_1.gguf"
mkdir -p "$build/shapes"

# bench MODEL REPORT OPTION...: full F16, Q8_0 and Q4_0 caches, 256 entries a layer by CAKE, SnapKV and at random, and
# libllama with and without flash attention and OpenMP. Its prompts take minutes here, so they are read once; decode runs
# are five each.
bench() {
  "$build/reprise" bench kv "$1.gguf" --quick --budget 256 --kv full:type=q4_0 --peer-openmp --prefill-runs 1 \
    --json "$2.json" --html "$2.html" "${@:3}"
}

for shape in qwen2.5-0.5b llama-3.2-1b; do
  for type in q4_0 f16; do
    name="$build/shapes/$shape-$type"
    [[ -f $name.gguf ]] || "$build/bench/make_shaped_model" "$shape" "$type" "$vocabulary" "$name.gguf"
    echo "== $shape, $type"
    bench "$name" "$name" --contexts 128,1024
  done
done
echo "== llama-3.2-1b, q4_0, long context"
bench "$build/shapes/llama-3.2-1b-q4_0" "$build/shapes/llama-3.2-1b-q4_0-8000" --contexts 8000
