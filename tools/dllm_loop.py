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


def choose(commit: str, rows: list[Proposal], budget: int, n_span: int, n_masked_at_start: int, i_step: int) -> list[int]:
    """Indices of the rows that become text, rising. rows: the masked positions before the block's end, in order."""
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
        return highest(confidences, n_masked_at_start // n_steps + (i_step < n_masked_at_start % n_steps))
    n_steps, eps = int(options["steps"]), float(options.get("eps", "0.001"))
    n = len(rows)
    if i_step < n_steps - 1:
        noise = [1 - (1 - eps) * k / n_steps for k in (i_step, i_step + 1)]
        share = n * (1 - noise[1] / noise[0])
        apart(share, round(share))
        n = int(share)
    key = {"maskgit_plus": "confidence", "topk_margin": "margin", "entropy": "neg_entropy"}[options["alg"]]
    return highest([getattr(row, key) for row in rows], n)


def rows_of(refresh: str, start: int, end: int, n_canvas: int, shift: int) -> tuple[int, int]:
    """Rows of a pass behind the first of a block [start, end); with shift the row before it predicts its first position."""
    return {"none": (0, n_canvas), "prefix": (start - shift, n_canvas), "dual": (start - shift, end)}[refresh]


def decode(canvas: Canvas, n_prompt: int, budget: int, policies: Policies, eos_id: int | None = None) -> Trace:
    """Fills the budget behind the prompt. eos_id: stops behind a block that holds it, and fills the rest with it."""
    trace = Trace()
    start = n_prompt
    while start < n_prompt + budget:
        rows = (0, len(canvas.ids))  # the first pass of a block computes everything, and plans
        i_step = 0
        while True:
            canvas.compute(*rows)
            if i_step == 0:
                left = [canvas.proposal(p) for p in range(start, n_prompt + budget)]
                n, reason = plan(policies.span, left, budget, start - n_prompt)
                end = start + n
                trace.blocks.append([start, n, reason])
                n_masked_at_start = canvas.ids[:end].count(canvas.mask_id)
            masked = [p for p in range(end) if canvas.ids[p] == canvas.mask_id]
            proposals = [canvas.proposal(p) for p in masked]
            chosen = choose(policies.commit, proposals, budget, n, n_masked_at_start, i_step)
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
