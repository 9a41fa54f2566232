"""The decoding loop of diffusion language models in plain Python, the reference that golden traces come from.

Sources: LLaDA (arXiv 2502.09992), Dream (arXiv 2508.15487), Fast-dLLM's caches and commit rules (arXiv 2505.22618; the factor
rule without the published code's off-by-one), AdaBlock-dLLM's block lengths (arXiv 2509.26432). Policies are written as the
program writes them: NAME:key=value,...

A decision between numbers that are too close for another precision raises NearTie: such a text is no golden text.
"""

import dataclasses
import math
from typing import Protocol

CLOSE = 1e-4  # confidences and what is made of them; F32 is off by some 1e-6
CLOSE_LOGITS = 1e-3
CLOSE_DRAW = 1e-12  # both sides the same F64 arithmetic, but for its order


class SplitMix64:
    """Steele, Lea and Flood, OOPSLA 2014: the stream of draws of a text, as the program's."""

    def __init__(self, seed: int):
        self.state = seed

    def next(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    def uniform(self) -> float:
        return (self.next() >> 11) * 2.0**-53


class NearTie(Exception):
    """Two numbers that a decision compares are too close."""


@dataclasses.dataclass(frozen=True)
class Proposal:
    """What the network says about one position; probabilities leave MASK out."""

    token: int
    confidence: float  # its probability
    margin: float = 0.0  # less the second highest
    neg_entropy: float = 0.0  # sum of p ln p
    lead: float = math.inf  # of its logit over the second highest


class Canvas(Protocol):
    """A text of N positions and the network that fills it."""

    ids: list[int]
    mask_id: int
    shift: int  # 1: the row of position i - 1 predicts position i

    def compute(self, first: int, end: int) -> None: ...
    def proposal(self, position: int) -> Proposal: ...


@dataclasses.dataclass(frozen=True)
class Policies:
    span: str
    commit: str
    refresh: str


@dataclasses.dataclass
class Trace:
    """passes: rows computed [first, end), commits [[position, token], ...]; blocks: [start, length, reason]."""

    passes: list[dict] = dataclasses.field(default_factory=list)
    blocks: list[list] = dataclasses.field(default_factory=list)


def parse(text: str) -> tuple[str, dict[str, str]]:
    name, _, options = text.partition(":")
    return name, dict(option.split("=") for option in options.split(",") if option)


def apart(a: float, b: float, close: float = CLOSE) -> None:
    if abs(a - b) <= close:
        raise NearTie(f"{a} and {b}")


def highest(keys: list[float], n: int) -> list[int]:
    """Indices of the n highest keys, rising; the lowest index among equals."""
    order = sorted(range(len(keys)), key=lambda i: (-keys[i], i))
    if 0 < n < len(keys):
        apart(keys[order[n - 1]], keys[order[n]])
    return sorted(order[:n])


def plan(span: str, rows: list[Proposal], budget: int, n_done: int) -> tuple[int, str]:
    """Length of the next block and its reason. rows: proposals of the positions that are left, from the block's start."""
    name, options = parse(span)
    n_left = len(rows)
    if name == "whole":
        return n_left, "fixed"
    if name == "fixed":
        return min(int(options["len"]), n_left), "fixed"
    rho, threshold = float(options["rho"]), float(options["tau_d"])
    window = math.floor(rho * budget) if options["window"] == "budget" else max(1, math.floor(rho * n_done))
    seen = rows[:min(window, n_left)]
    for row in seen:
        apart(row.lead, 0, CLOSE_LOGITS)
    delimiters = {int(i) for i in options["delimiters"].split("+")}
    found = [i for i, row in enumerate(seen) if row.token in delimiters]
    fallback = min(int(options["b0"]), n_left)
    if not found:
        return fallback, "no_delimiter"
    for i in found:
        apart(seen[i].confidence, threshold)
    if options["pick"] == "max":
        best = found[highest([seen[i].confidence for i in found], 1)[0]]
    else:
        above = [i for i in found if seen[i].confidence >= threshold] or found
        best = above[0 if options["pick"] == "first_above" else -1]
    return (best + 1, "delimiter") if seen[best].confidence >= threshold else (fallback, "low_confidence")


def choose(commit: str, rows: list[Proposal], budget: int, n_span: int, n_masked_at_start: int, i_step: int,
           rng: SplitMix64 | None = None) -> list[int]:
    """Indices of the rows that become text, rising. rows: the masked positions before the block's end, in order. What a rule
    draws it draws from rng, one number a row in their order."""
    name, options = parse(commit)
    confidences = [row.confidence for row in rows]
    if name == "top1":
        return highest(confidences, 1)
    if name == "threshold":
        threshold = float(options["tau"])
        for confidence in confidences:
            apart(confidence, threshold)
        return [i for i, c in enumerate(confidences) if c >= threshold] or highest(confidences, 1)
    if name == "factor":
        ranked, n = sorted(confidences, reverse=True), 0
        while n < len(ranked):
            bound = (n + 2) * (1 - ranked[n])
            apart(bound, float(options["f"]))
            if bound >= float(options["f"]):
                break
            n += 1
        return highest(confidences, max(1, n))
    if name == "quota":
        n_steps = int(options["steps"]) // (budget // n_span)
        if options.get("confidence") == "random":
            confidences = [rng.uniform() for _ in rows]
        return highest(confidences, n_masked_at_start // n_steps + (i_step < n_masked_at_start % n_steps))
    n_steps, eps = int(options["steps"]), float(options.get("eps", "0.001"))
    n, is_last = len(rows), i_step >= n_steps - 1
    if is_last:
        return list(range(n))
    noise = [1 - (1 - eps) * k / n_steps for k in (i_step, i_step + 1)]
    share = 1 - noise[1] / noise[0]
    if options["alg"] == "origin":
        draws = [rng.uniform() for _ in rows]
        for draw in draws:
            apart(draw, share, CLOSE_DRAW)
        return [i for i, draw in enumerate(draws) if draw < share]
    apart(n * share, round(n * share))
    key = {"maskgit_plus": "confidence", "topk_margin": "margin", "entropy": "neg_entropy"}[options["alg"]]
    scores, heat = [getattr(row, key) for row in rows], float(options.get("alg_temp", "0"))
    if heat > 0:  # Gumbel's maximum: draws without replacement from softmax(score / heat)
        scores = [score - heat * math.log(-math.log(1 - rng.uniform())) for score in scores]
    return highest(scores, int(n * share))


def rows_of(refresh: str, start: int, end: int, n_canvas: int, shift: int) -> tuple[int, int]:
    """Rows of a pass behind the first of a block [start, end); with shift the row before it predicts its first position."""
    return {"none": (0, n_canvas), "prefix": (start - shift, n_canvas), "dual": (start - shift, end)}[refresh]


def decode(canvas: Canvas, n_prompt: int, budget: int, policies: Policies, eos_id: int | None = None, seed: int = 0) -> Trace:
    """Fills the budget behind the prompt. eos_id: stops behind a block that holds it, and fills the rest with it."""
    trace, rng = Trace(), SplitMix64(seed)
    start = n_prompt
    while start < n_prompt + budget:
        rows = (0, len(canvas.ids))  # the first pass of a block computes everything, and plans
        i_step = 0
        while True:
            canvas.compute(*rows)
            rng.next()  # the seed of the pass's proposals, which draw nothing without a temperature
            if i_step == 0:
                left = [canvas.proposal(p) for p in range(start, n_prompt + budget)]
                n, reason = plan(policies.span, left, budget, start - n_prompt)
                end = start + n
                trace.blocks.append([start, n, reason])
                n_masked_at_start = canvas.ids[:end].count(canvas.mask_id)
            masked = [p for p in range(end) if canvas.ids[p] == canvas.mask_id]
            proposals = [canvas.proposal(p) for p in masked]
            chosen = choose(policies.commit, proposals, budget, n, n_masked_at_start, i_step, rng)
            for i in chosen:
                apart(proposals[i].lead, 0, CLOSE_LOGITS)
                canvas.ids[masked[i]] = proposals[i].token
            trace.passes.append({"rows": list(rows), "commits": [[masked[i], proposals[i].token] for i in chosen]})
            if len(chosen) == len(masked):
                break
            i_step += 1
            rows = rows_of(policies.refresh, start, end, len(canvas.ids), canvas.shift)
        if eos_id is not None and eos_id in canvas.ids[start:end]:
            canvas.ids[end:n_prompt + budget] = [eos_id] * (n_prompt + budget - end)
            break
        start = end
    return trace
