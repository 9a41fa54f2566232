#!/usr/bin/env bash
# The main job on real input: a question about a long text, with the KV cache held to a budget.
set -euo pipefail
cd "$(dirname "$0")/.."
question="What was written on the label of the bottle?"
show() { printf '\n$ %s\n' "$*"; }
show "build/reprise run smollm2 -f examples/texts/alice.txt -p \"$question\" --kv cake:budget=1024 --max-tokens 24"
build/reprise run smollm2 -f examples/texts/alice.txt -p "$question" --kv cake:budget=1024 --max-tokens 24
cat <<'NEXT'

Try next:
  build/reprise chat smollm2 --kv cake:budget=1024
  build/reprise run dllm-demo -p "Anna has 20 shells. A: gives away 10. B: buys 25. How many now?" --watch
  build/reprise run smollm2 -f README.md -p "What is this about?" --kv cake:budget=512 --ledger verify
NEXT
