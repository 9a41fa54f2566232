#!/usr/bin/env python3
"""Writes tests/golden/dllm/tokens.json: texts of the demo model's tasks with the ids of its own tokenizer.

    python3 -m venv .venv && .venv/bin/pip install numpy gguf==0.19.0 tokenizers==0.23.3
    .venv/bin/python tools/golden_dllm_tokens.py CHECKPOINT [--check]

CHECKPOINT holds the tokenizer.json that the model was trained with. Before anything is written, the vocabulary of
models/dllm/dllm-demo.Q8_0.gguf is put together again as llama.cpp's pre-tokenizer `smollm` describes it, and must give the
same ids for every prompt and answer of models/dllm and of tests/golden/dllm/smoke.json, a set of 4,000 drawn as training's
were (a list of prompt and answer). Of all of them tokens.json has a hash: FNV-1a with 64 bits over the ids as 32-bit words,
low byte first, each text's preceded by their number; held-out, published, smoke, prompt before answer. --check compares only.
"""

import argparse
import json
import pathlib
import struct
import sys

import gguf
import tokenizers
from tokenizers import models, pre_tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests/golden/dllm/tokens.json"
SMOKE = ROOT / "tests/golden/dllm/smoke.json"
N_TEXTS = 50  # a task
# src/llama-vocab.cpp of llama.cpp: digits one by one, then what GPT-2 calls a word.
SMOLLM = [r"\p{N}", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"]


def from_gguf(path: pathlib.Path) -> tokenizers.Tokenizer:
    fields = gguf.GGUFReader(path).fields
    kind = fields["tokenizer.ggml.pre"].contents()
    if kind != "smollm":
        raise SystemExit(f"{path}: pre-tokenizer is {kind}, expected smollm")
    vocab = {text: i for i, text in enumerate(fields["tokenizer.ggml.tokens"].contents())}
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab, merges))
    cuts = [pre_tokenizers.Split(tokenizers.Regex(expression), "isolated") for expression in SMOLLM]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*cuts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return tokenizer


def fnv1a(texts: list[list[int]]) -> int:
    value = 0xCBF29CE484222325
    for ids in texts:
        for byte in struct.pack(f"<{len(ids) + 1}I", len(ids), *ids):
            value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def read_rows() -> tuple[list[dict], list[dict]]:
    """(held-out rows, all rows)"""
    sets = [[json.loads(line) for line in (ROOT / f"models/dllm/{name}.jsonl").read_text(encoding="utf-8").splitlines()]
            for name in ("heldout", "published")]
    return sets[0], [*sets[0], *sets[1], *json.loads(SMOKE.read_text(encoding="utf-8"))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=pathlib.Path, metavar="CHECKPOINT")
    parser.add_argument("--check", action="store_true", help="compare only")
    args = parser.parse_args()
    own = tokenizers.Tokenizer.from_file(str(args.checkpoint / "tokenizer.json"))
    converted = from_gguf(ROOT / "models/dllm/dllm-demo.Q8_0.gguf")
    heldout, rows = read_rows()
    texts = []
    for row in rows:
        prompt, answer = (own.encode(row[key]).ids for key in ("prompt", "answer"))
        whole = own.encode(row["prompt"] + row["answer"]).ids
        if (whole != prompt + answer or any(converted.encode(row[key]).ids != ids
                                            for key, ids in (("prompt", prompt), ("answer", answer)))
                or own.decode(whole) != row["prompt"] + row["answer"]):
            print(f"{row['prompt']!r}: the converted vocabulary gives other ids", file=sys.stderr)
            return 1
        texts += [prompt, answer]
    cases = [{"text": row["prompt"] + row["answer"], "ids": own.encode(row["prompt"] + row["answer"]).ids}
             for row in heldout[:4 * N_TEXTS]]
    made_by = f"tools/{pathlib.Path(__file__).name}, tokenizers {tokenizers.__version__}"
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    every = json.dumps({"n_texts": len(texts), "n_ids": sum(map(len, texts)), "fnv1a": f"{fnv1a(texts):016x}"})
    text = f'{{"made_by":"{made_by}","all":{every},"cases":[\n{lines}\n]}}\n'
    print(f"{len(rows)} prompts and answers: the converted vocabulary gives the ids of tokenizer.json")
    if args.check:
        if GOLDEN.read_text(encoding="utf-8") != text:
            print(f"{GOLDEN}: differs", file=sys.stderr)
            return 1
        return 0
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_text(text, encoding="utf-8")
    print(f"{GOLDEN}: {len(cases)} texts, {len(text)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
