#!/usr/bin/env python3
"""Writes the golden data of diffusion language models under tests/golden/dllm: two tiny random models, what each layer of them
gives, and what every way of decoding makes of them.

    apt-get install python3-torch          # 1.13 of Debian 12
    /usr/bin/python3 -m venv --system-site-packages .venv && .venv/bin/pip install gguf==0.19.0
    .venv/bin/python tools/golden_dllm.py [--check]

llada-tiny/, dream-tiny/   checkpoints: model.safetensors (F32), config.json, tokenizer.json
*-tiny.gguf                the same through convert_dllm.py, F32
forward.json               24 rows, some of them MASK: what leaves each layer, and logits, from PyTorch in F32. numpy in F64
                           agrees; `largest_difference` says how well
traces.json                one case a line: which rows each pass computes, what it commits, where blocks begin and why they end
                           there; from dllm_loop.py over dllm_forward.py, and without a cache over dllm_torch.py too. `seed`
                           is that of what a rule draws

Positions are those of the canvas: prompt, budget, tail of EOS rows. A pass with a cache begins one row early where the row of
position i - 1 predicts position i (Dream). No decision of a trace rests on numbers closer than 1e-4 (confidences) or 1e-3
(logits): prompts are drawn until none does. --check compares only; PyTorch may sum in another order on another CPU, and
forward.json then differs in its last digits.
"""

import argparse
import json
import pathlib
import random
import sys
import tempfile

import numpy
import torch

import convert_dllm
import dllm_loop
import dllm_tiny
from dllm_checkpoint import Shape
from dllm_forward import Canvas, Network
from dllm_loop import NearTie, Policies
from dllm_torch import Model

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/dllm"
ARCHS = ("llada", "dream")
WEIGHT_SEED = 1
HEAD_SCALE = 6.0  # confidences of a first pass then run from 0.2 to 1, with the median at 0.65
N_ROWS = 24
HIDDEN_TOLERANCE, LOGIT_TOLERANCE = 1e-4, 1e-3  # what the project grants F32; hidden states are of size 16, logits of 22
BUDGET = 24
EOS = {arch: dllm_tiny.CONFIGS[arch]["eos_token_id"] for arch in ARCHS}
MASK = {arch: dllm_tiny.CONFIGS[arch]["mask_token_id"] for arch in ARCHS}
# Every fourth id: neither MASK nor EOS of either model.
DELIMITERS = "+".join(str(i) for i in range(5, 95, 4))


def adablock(tau_d: float, b0: int, rho: float = 0.5, window: str = "budget", pick: str = "max",
             delimiters: str = DELIMITERS) -> str:
    return f"adablock:tau_d={tau_d},b0={b0},rho={rho},window={window},pick={pick},delimiters={delimiters}"


# span, commit, refresh, rows of tail behind the budget; each for both models.
CASES = [
    ("fixed:len=8", "threshold:tau=0.9", "none", 0),
    ("fixed:len=8", "threshold:tau=0.9", "prefix", 0),
    ("fixed:len=8", "threshold:tau=0.9", "dual", 0),
    ("fixed:len=8", "threshold:tau=0.5", "dual", 6),
    ("fixed:len=5", "threshold:tau=0.7", "prefix", 3),
    ("fixed:len=1", "top1", "dual", 0),
    ("fixed:len=8", "factor:f=1", "none", 0),
    ("fixed:len=8", "factor:f=1", "dual", 0),
    ("fixed:len=12", "factor:f=0.5", "prefix", 4),
    ("fixed:len=8", "top1", "none", 0),
    ("whole", "threshold:tau=0.9", "none", 6),
    ("whole", "top1", "dual", 0),
    ("fixed:len=8", "quota:steps=12", "none", 0),
    ("fixed:len=8", "quota:steps=9", "dual", 0),
    ("whole", "quota:steps=16", "prefix", 0),
    ("whole", "dream:alg=entropy,steps=8", "none", 0),
    ("whole", "dream:alg=maskgit_plus,steps=8", "none", 0),
    ("whole", "dream:alg=topk_margin,steps=12", "none", 2),
    ("whole", "dream:alg=entropy,steps=32", "dual", 0),
    (adablock(0.3, 8), "threshold:tau=0.9", "none", 0),
    (adablock(0.5, 8), "threshold:tau=0.9", "dual", 0),
    (adablock(0.8, 6, pick="first_above"), "threshold:tau=0.7", "prefix", 0),
    (adablock(0.4, 6, pick="last_above"), "factor:f=1", "dual", 5),
    (adablock(0.4, 10, window="progress"), "threshold:tau=0.9", "none", 0),
    (adablock(0.99, 7, rho=1), "threshold:tau=0.9", "prefix", 0),
    (adablock(0.3, 9, rho=0.25, delimiters="5+17"), "threshold:tau=0.6", "dual", 0),
    (adablock(0.3, 8, rho=0.01), "threshold:tau=0.9", "dual", 0),
]
# The same with a stop at EOS.
STOP_CASES = [
    ("fixed:len=4", "threshold:tau=0.9", "none", 0),
    ("fixed:len=6", "top1", "prefix", 3),
    (adablock(0.3, 4), "threshold:tau=0.7", "dual", 0),
]
# Rules that draw: positions by lot, or by scores with noise.
DRAW_CASES = [
    ("whole", "dream:alg=origin,steps=8", "none", 0),
    ("whole", "dream:alg=entropy,steps=8,alg_temp=0.5", "none", 0),
    ("whole", "dream:alg=maskgit_plus,steps=12,alg_temp=1", "dual", 2),
    ("fixed:len=8", "quota:steps=12,confidence=random", "none", 0),
    ("whole", "quota:steps=16,confidence=random", "prefix", 0),
]
DRAW_SEED = 20260926


class TorchNetwork:
    """dllm_torch's model in the place of dllm_forward's, for passes that compute everything."""

    def __init__(self, folder: pathlib.Path, shape: Shape):
        self.model, self.shape = Model(folder), shape

    def empty_cache(self, n_canvas: int) -> None:
        return None

    def forward(self, ids: list[int], first: int, end: int, cache: None) -> tuple[list, numpy.ndarray]:
        assert (first, end) == (0, len(ids))
        with torch.no_grad():
            return [], self.model(torch.tensor([ids]))[1][0].double().numpy()


def decoded(network: Network | TorchNetwork, case: dict, refresh: str) -> tuple[dllm_loop.Trace, list[int]]:
    """The trace of a case, and the canvas at its end. Throws NearTie."""
    arch = case["model"].removesuffix("-tiny")
    canvas = Canvas(network, case["prompt"] + [MASK[arch]] * BUDGET + [EOS[arch]] * case["tail"])
    trace = dllm_loop.decode(canvas, len(case["prompt"]), BUDGET, Policies(case["span"], case["commit"], refresh),
                             EOS[arch] if case["eos_stop"] else None, case.get("seed", 0))
    return trace, canvas.ids


def trace_case(network: Network, arch: str, seed: int, case: tuple, stops: bool) -> dict:
    """The case with prompt and trace. Throws NearTie."""
    span, commit, refresh, n_tail = case
    rng = random.Random(seed)
    plain = [i for i in range(dllm_tiny.N_VOCAB) if i not in (EOS[arch], MASK[arch])]
    prompt = [rng.choice(plain) for _ in range(rng.randint(4, 14))]
    asked = {"model": f"{arch}-tiny", "prompt": prompt, "budget": BUDGET, "tail": n_tail, "span": span, "commit": commit,
             "refresh": refresh, "eos_stop": stops} | ({"seed": DRAW_SEED} if case in DRAW_CASES else {})
    trace, ids = decoded(network, asked, refresh)
    text = ids[len(prompt):len(prompt) + BUDGET]
    assert ids[:len(prompt)] == prompt and ids[len(prompt) + BUDGET:] == [EOS[arch]] * n_tail
    check_trace(trace, len(prompt), text, stops)
    return {**asked, "passes": trace.passes, "blocks": trace.blocks, "text": text}


def check_trace(trace: dllm_loop.Trace, n_prompt: int, text: list[int], stops: bool) -> None:
    """Blocks follow each other, and every position of them is committed once."""
    end = n_prompt
    for start, length, _ in trace.blocks:
        assert start == end and length >= 1
        end += length
    assert end <= n_prompt + len(text) and (stops or end == n_prompt + len(text))
    commits = [commit for one in trace.passes for commit in one["commits"]]
    assert sorted(position for position, _ in commits) == list(range(n_prompt, end))
    assert all(text[position - n_prompt] == token for position, token in commits)


def is_telling(network: Network, arch: str, seed: int, case: tuple, stops: bool, found: dict) -> bool:
    """Whether the case shows what it is there for: a stop ends the text early, a delimiter is found, a choice of another
    delimiter than the surest makes a difference, as do draws with another seed. Throws NearTie."""
    span = found["span"]
    if "seed" in found:
        return decoded(network, found | {"seed": 0}, found["refresh"])[0] != decoded(network, found, found["refresh"])[0]
    if stops:
        return sum(length for _, length, _ in found["blocks"]) < BUDGET
    if not span.startswith("adablock") or "rho=0.01" in span:
        return True
    if "pick=max" not in span:
        surest = span.replace("first_above", "max").replace("last_above", "max")
        return trace_case(network, arch, seed, (surest, *case[1:]), stops)["blocks"] != found["blocks"]
    return any(reason in ("delimiter", "low_confidence") for _, _, reason in found["blocks"])


def first_case(network: Network, arch: str, number: int, case: tuple, stops: bool) -> dict:
    for seed in range(1000 * number, 1000 * (number + 1)):
        try:
            found = trace_case(network, arch, seed, case, stops)
            if is_telling(network, arch, seed, case, stops, found):
                return found
        except NearTie:
            continue
    raise SystemExit(f"{arch} {case}: no prompt of a thousand serves")


def traces(networks: dict[str, Network]) -> list[dict]:
    cases = [(case, False) for case in CASES] + [(case, True) for case in STOP_CASES] + [(case, False) for case in DRAW_CASES]
    found = [first_case(networks[arch], arch, number, case, stops)
             for arch in ARCHS for number, (case, stops) in enumerate(cases)]
    reasons = {reason for case in found for _, _, reason in case["blocks"]}
    assert reasons == {"fixed", "delimiter", "no_delimiter", "low_confidence"}, reasons
    assert any(not one["commits"] for case in found for one in case["passes"])  # Dream: more steps than positions
    return found


def caches_matter(networks: dict[str, Network], cases: list[dict]) -> int:
    """Cases with a cache whose commits differ without it: stale rows are seen."""
    n_different = 0
    for case in cases:
        try:
            plain = decoded(networks[case["model"].removesuffix("-tiny")], case, "none")[0].passes
        except NearTie:
            continue
        n_different += [one["commits"] for one in plain] != [one["commits"] for one in case["passes"]]
    return n_different


def forward(folder: pathlib.Path, network: Network, arch: str) -> dict:
    """24 rows, a third of them MASK."""
    rng = random.Random(24)
    ids = [MASK[arch] if rng.random() < 1 / 3 else rng.randrange(dllm_tiny.N_VOCAB) for _ in range(N_ROWS)]
    with torch.no_grad():
        hidden, logits = Model(folder)(torch.tensor([ids]))
    hidden, logits = [h[0].numpy() for h in hidden], logits[0].numpy()
    cache = network.empty_cache(N_ROWS)
    hidden_64, logits_64 = network.forward(ids, 0, N_ROWS, cache)
    differences = [float(numpy.abs(a - b).max()) for a, b in zip([*hidden, logits], [*hidden_64, logits_64])]
    assert max(differences[:-1]) < HIDDEN_TOLERANCE and differences[-1] < LOGIT_TOLERANCE, differences
    # Computed again over the cache, rows of the same ids give the same.
    assert numpy.abs(network.forward(ids, 8, 16, cache)[1] - logits_64[8:16]).max() < 1e-12
    return {"model": f"{arch}-tiny", "ids": ids,
            "largest_difference": {"hidden": round(max(differences[:-1]), 7), "logits": round(differences[-1], 7)},
            "hidden": [rounded(h) for h in hidden], "logits": rounded(logits)}


def rounded(values: numpy.ndarray) -> list[list[float]]:
    """Seven digits: off by at most 5e-6 at a size of 22."""
    return [[float(f"{value:.7g}") for value in row] for row in values.tolist()]


def lines(made_by: str, key: str, rows: list[dict]) -> str:
    body = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    return f'{{"made_by":"{made_by}","{key}":[\n{body}\n]}}\n'


def write_all(root: pathlib.Path) -> str:
    """Returns a summary."""
    made_by = f"tools/{pathlib.Path(__file__).name}, PyTorch {torch.__version__}, numpy {numpy.__version__}"
    folders = {arch: root / f"{arch}-tiny" for arch in ARCHS}
    for arch, folder in folders.items():
        dllm_tiny.write(folder, arch, WEIGHT_SEED, HEAD_SCALE)
        convert_dllm.convert(folder, root / f"{arch}-tiny.gguf", "f32")
    networks = {arch: Network(folder) for arch, folder in folders.items()}
    models = [forward(folders[arch], networks[arch], arch) for arch in ARCHS]
    (root / "forward.json").write_text(lines(made_by, "models", models), encoding="utf-8")
    cases = traces(networks)
    (root / "traces.json").write_text(lines(made_by, "cases", cases), encoding="utf-8")
    for case in (case for case in cases if case["refresh"] == "none"):  # F32 and another network decide alike
        arch = case["model"].removesuffix("-tiny")
        assert decoded(TorchNetwork(folders[arch], networks[arch].shape), case, "none")[0].passes == case["passes"], case
    n_cached = sum(case["refresh"] != "none" for case in cases)
    return (f"{len(cases)} traces, {caches_matter(networks, cases)} of {n_cached} with a cache differ without it; F32 and F64 "
            f"differ by {[model['largest_difference'] for model in models]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only")
    if not parser.parse_args().check:
        ROOT.mkdir(parents=True, exist_ok=True)
        print(write_all(ROOT))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        print(write_all(root))
        made = [path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file()]
        different = [path for path in made if (ROOT / path).read_bytes() != (root / path).read_bytes()]
    for path in different:
        print(f"{path}: differs", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
