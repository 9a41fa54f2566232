#!/usr/bin/env python3
"""Tests of dllm_loop.py by table: the reference has to be right before anything is compared with it."""

import contextlib
import unittest

import dllm_loop
from dllm_loop import NearTie, Policies, Proposal

MASK, EOS = 99, 98


def rows(*confidences: float, tokens: list[int] | None = None) -> list[Proposal]:
    return [Proposal(t, c) for t, c in zip(tokens or [1] * len(confidences), confidences)]


def chosen(commit: str, *confidences: float, i_step: int = 0, budget: int = 8, n_span: int = 8, at_start: int = 8) -> list[int]:
    return dllm_loop.choose(commit, rows(*confidences), budget, n_span, at_start, i_step)


class Stub:
    """Proposes token = position, ever more surely to the left; remembers what was computed."""

    def __init__(self, n_prompt: int, budget: int, shift: int = 0, ends: dict[int, int] | None = None):
        self.ids = [7] * n_prompt + [MASK] * budget
        self.mask_id, self.shift, self.ends = MASK, shift, ends or {}

    def compute(self, first: int, end: int) -> None:
        self.computed = range(first, end)

    def proposal(self, position: int) -> Proposal:
        if max(0, position - self.shift) not in self.computed:
            raise IndexError(position)
        return Proposal(self.ends.get(position, position), 0.9 - 0.01 * position)


class Choose(unittest.TestCase):
    def test_threshold(self):
        self.assertEqual(chosen("threshold:tau=0.9", 0.95, 0.2, 0.91), [0, 2])
        self.assertEqual(chosen("threshold:tau=0.9", 0.1, 0.5, 0.4), [1])
        for confidences in ((0.9, 0.1), (0.50001, 0.5)):
            with self.assertRaises(NearTie):
                chosen("threshold:tau=0.9", *confidences)

    def test_top1(self):
        self.assertEqual(chosen("top1", 0.2, 0.95, 0.91), [1])

    def test_factor_takes_a_prefix(self):
        # (n + 1)(1 - c_n) of the ranked ones: 0.1, 0.24, 0.6, 1.5.
        self.assertEqual(chosen("factor:f=1", 0.92, 0.7, 0.95, 0.85), [0, 2, 3])
        self.assertEqual(chosen("factor:f=0.5", 0.92, 0.7, 0.95, 0.85), [0, 2])
        self.assertEqual(chosen("factor:f=1", 0.3, 0.4), [1])
        # The last of all fails too: the published code would take it.
        self.assertEqual(chosen("factor:f=1", 0.95, 0.6), [0])

    def test_quota_gives_the_remainder_first(self):
        eight = [0.1 * i for i in range(1, 9)]
        self.assertEqual([len(chosen("quota:steps=3", *eight, i_step=i)) for i in range(3)], [3, 3, 2])
        self.assertEqual(chosen("quota:steps=3", *eight), [5, 6, 7])
        self.assertEqual(len(chosen("quota:steps=6", *eight, budget=16)), 3)  # three steps for each of two blocks

    def test_dream_counts(self):
        left, counts = 16, []
        for i in range(8):
            counts.append(len(chosen("dream:alg=maskgit_plus,steps=8", *(0.01 * j for j in range(left)), i_step=i)))
            left -= counts[-1]
        # tau_k = 1 - 0.999 k / 8; each step takes int(left (1 - tau_k+1 / tau_k)), the last one all.
        self.assertEqual(counts, [1, 2, 2, 2, 2, 2, 2, 3])

    def test_dream_keys(self):
        one, two = Proposal(1, 0.5, margin=0.1, neg_entropy=-1.0), Proposal(2, 0.4, margin=0.3, neg_entropy=-2.0)
        three = Proposal(3, 0.3, margin=0.2, neg_entropy=-0.5)
        for alg, index in (("maskgit_plus", 0), ("topk_margin", 1), ("entropy", 2)):
            # int(3 (1 - 0.5005)) = 1
            self.assertEqual(dllm_loop.choose(f"dream:alg={alg},steps=2", [one, two, three], 3, 3, 3, 0), [index])


    def test_split_mix(self):
        rng = dllm_loop.SplitMix64(0)  # its first three numbers as published
        self.assertEqual([rng.next() for _ in range(3)], [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F])

    def test_draws_choose_by_lot(self):
        def of(commit: str, seed: int, i_step: int = 0) -> list[int]:
            return dllm_loop.choose(commit, rows(*(0.1 * i for i in range(1, 9))), 8, 8, 8, i_step, dllm_loop.SplitMix64(seed))

        for commit, mean in (("quota:steps=4,confidence=random", 2), ("dream:alg=maskgit_plus,steps=4,alg_temp=9", 1),
                             ("dream:alg=origin,steps=4", 8 * 0.999 / 4)):
            found = []
            for seed in range(2000):
                with contextlib.suppress(NearTie):
                    found.append(of(commit, seed))
            self.assertGreater(len(found), 1900)
            taken = [sum(i in one for one in found) / len(found) for i in range(8)]
            for share in taken:  # by lot; at a heat of 9 scores of 0.1 to 0.8 are hardly seen
                self.assertAlmostEqual(share, mean / 8, delta=0.05)
        self.assertEqual(of("dream:alg=maskgit_plus,steps=4,alg_temp=0.0001", 1), of("dream:alg=maskgit_plus,steps=4", 1))
        self.assertEqual(of("dream:alg=origin,steps=4", 1, i_step=3), list(range(8)))


class Plan(unittest.TestCase):
    def planned(self, tokens: list[int], confidences: list[float], n_done: int = 0, budget: int = 16, **changed) -> tuple:
        options = {"tau_d": 0.3, "b0": 4, "rho": 0.5, "window": "budget", "pick": "max", "delimiters": "5+6"} | changed
        span = "adablock:" + ",".join(f"{key}={value}" for key, value in options.items())
        return dllm_loop.plan(span, rows(*confidences, tokens=tokens), budget, n_done)

    def test_adablock(self):
        quiet = [0.1] * 16
        none = [1] * 16
        two = [1, 5, 1, 6] + [1] * 12
        later = [0.1, 0.4, 0.1, 0.6] + [0.1] * 12
        cases = [
            (self.planned(none, quiet), (4, "no_delimiter")),
            (self.planned(none[:3], quiet[:3]), (3, "no_delimiter")),
            (self.planned(two, later), (4, "delimiter")),
            (self.planned(two, later, pick="first_above"), (2, "delimiter")),
            (self.planned(two, later, pick="first_above", tau_d=0.5), (4, "delimiter")),
            (self.planned(two, later, pick="last_above"), (4, "delimiter")),
            (self.planned(two, [0.1, 0.6, 0.1, 0.4] + quiet[4:]), (2, "delimiter")),
            (self.planned(two, later, tau_d=0.7), (4, "low_confidence")),
            (self.planned(two, later, tau_d=0.7, b0=9, pick="last_above"), (9, "low_confidence")),
            (self.planned([5] + none[1:], [0.8] + quiet[1:]), (1, "delimiter")),
            (self.planned(none[:8] + [5] + none[9:], [0.1] * 8 + [0.9] + quiet[9:]), (4, "no_delimiter")),
            (self.planned(none[:8] + [5] + none[9:], [0.1] * 8 + [0.9] + quiet[9:], rho=1), (9, "delimiter")),
            (self.planned(two, later, rho=0.05), (4, "no_delimiter")),
            (self.planned(two, later, window="progress"), (4, "no_delimiter")),
            (self.planned(two[:12], later[:12], window="progress", n_done=4), (2, "delimiter")),
        ]
        for i, (got, wanted) in enumerate(cases):
            self.assertEqual(got, wanted, f"case {i}")

    def test_others(self):
        three = rows(0.1, 0.2, 0.3)
        self.assertEqual(dllm_loop.plan("whole", three, 9, 6), (3, "fixed"))
        self.assertEqual(dllm_loop.plan("fixed:len=2", three, 9, 6), (2, "fixed"))
        self.assertEqual(dllm_loop.plan("fixed:len=8", three, 9, 6), (3, "fixed"))

    def test_near_ties(self):
        for tokens, confidences in (([5, 1], [0.30001, 0.1]), ([5, 6], [0.5, 0.50001])):
            with self.assertRaises(NearTie):
                self.planned(tokens, confidences, rho=1)
        with self.assertRaises(NearTie):
            dllm_loop.plan("adablock:tau_d=0.3,b0=4,rho=1,window=budget,pick=max,delimiters=5",
                           [Proposal(1, 0.5, lead=1e-4)], 1, 0)


class Decode(unittest.TestCase):
    def decoded(self, refresh: str, commit: str = "top1", shift: int = 0, span: str = "fixed:len=2", **options) -> tuple:
        canvas = Stub(3, 5, shift, options.pop("ends", None))
        return dllm_loop.decode(canvas, 3, 5, Policies(span, commit, refresh), **options), canvas.ids

    def test_one_token_a_pass(self):
        for refresh, shift, rows_wanted in (
                ("none", 0, [[0, 8]] * 5), ("prefix", 0, [[0, 8], [3, 8], [0, 8], [5, 8], [0, 8]]),
                ("dual", 0, [[0, 8], [3, 5], [0, 8], [5, 7], [0, 8]]),
                ("dual", 1, [[0, 8], [2, 5], [0, 8], [4, 7], [0, 8]]),
                ("prefix", 1, [[0, 8], [2, 8], [0, 8], [4, 8], [0, 8]])):
            trace, ids = self.decoded(refresh, shift=shift)
            self.assertEqual([one["rows"] for one in trace.passes], rows_wanted)
            self.assertEqual([one["commits"] for one in trace.passes], [[[p, p]] for p in range(3, 8)])
            self.assertEqual(trace.blocks, [[3, 2, "fixed"], [5, 2, "fixed"], [7, 1, "fixed"]])
            self.assertEqual(ids, [7, 7, 7, 3, 4, 5, 6, 7])

    def test_a_block_may_be_done_in_one_pass(self):
        trace, _ = self.decoded("dual", "threshold:tau=0.5")
        self.assertEqual([one["rows"] for one in trace.passes], [[0, 8]] * 3)

    def test_stop_at_the_end_token(self):
        trace, ids = self.decoded("none", ends={4: EOS}, eos_id=EOS)
        self.assertEqual(trace.blocks, [[3, 2, "fixed"]])
        self.assertEqual(ids, [7, 7, 7, 3, EOS, EOS, EOS, EOS])
        trace, ids = self.decoded("none", ends={4: EOS})
        self.assertEqual((len(trace.blocks), ids), (3, [7, 7, 7, 3, EOS, 5, 6, 7]))


if __name__ == "__main__":
    unittest.main()
