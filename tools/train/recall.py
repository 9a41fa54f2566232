#!/usr/bin/env python3
"""Trains the recall model on recall text made on the fly, on short texts first.

Usage: recall.py --out DIR [--steps N] [--rate R] [--seed S]
Needs PyTorch (Debian's python3-torch 1.13 does). Writes DIR/best.pt, complete or absent, at each better accuracy on the
exam: exact answers to one question behind a document of 440..490 tokens, texts from a seed that training never uses.
"""

import argparse
import math
import pathlib
import random
import sys
import time

import torch
from torch.nn import functional

import recall_text
import recall_vocab
from recall_model import RecallModel, Shape
from recall_start import start_with_recall

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from whole_file import whole_file

TOKENS_PER_STEP = 4096
LENGTHS = (32, 64, 128, 256, 512)
PROMOTION = 0.95    # share of right answer tokens, in training, that moves on to the next length
TEXT_WEIGHT = 0.1   # of an ordinary token in the loss; one of an answer has weight 1
EXAM_SEED = 20_000_003
IGNORED = -100


def encode(pieces: list[str]) -> list[int]:
    ids = recall_vocab.piece_ids()
    return [ids[piece] for piece in pieces]


def batch(rng: random.Random, n_tokens: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, next tokens and which next tokens are answers, each [n_batch, n_tokens]."""
    n_batch = TOKENS_PER_STEP // n_tokens
    ids = torch.full((n_batch, n_tokens + 1), IGNORED)
    is_answer = torch.zeros(n_batch, n_tokens + 1, dtype=torch.bool)
    for row in range(n_batch):
        pieces, starts = recall_text.lesson(rng, n_tokens - 1, max_records=n_tokens // 8)
        text = encode([recall_vocab.BOS, *pieces, recall_vocab.END])
        ids[row, :len(text)] = torch.tensor(text)
        for start in starts:
            is_answer[row, start + 1:start + 3] = True
    return ids[:, :-1].clamp(min=0), ids[:, 1:], is_answer[:, 1:]


def loss_and_accuracy(model: RecallModel, lesson) -> tuple[torch.Tensor, float]:
    """Weighted cross entropy, and the share of the answer tokens that are predicted."""
    tokens, targets, is_answer = lesson
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(tokens)
    logits = logits.float()
    losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    weights = torch.where(is_answer, 1.0, TEXT_WEIGHT).flatten() * (targets.flatten() != IGNORED)
    right = (logits[is_answer].argmax(-1) == targets[is_answer]).float().mean().item()
    return (losses * weights).sum() / weights.sum(), right


@torch.no_grad()
def exam_accuracy(model: RecallModel, n_questions: int = 64, n_batch: int = 16) -> float:
    """Share of exact answers, value and semicolon, at full context."""
    rng, n_right = random.Random(EXAM_SEED), 0
    for first in range(0, n_questions, n_batch):
        texts = []
        for i in range(first, first + n_batch):
            doc, key = recall_text.exam(rng, i / (n_questions - 1))
            pieces = [recall_vocab.BOS, *doc.pieces, *recall_text.question(key), *recall_text.answer(doc, key)]
            texts.append(torch.tensor(encode(pieces)))
        padded = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
        with torch.autocast("cpu", torch.bfloat16):
            guesses = model(padded).argmax(-1)
        n_right += sum(bool((guess[len(text) - 3:len(text) - 1] == text[-2:]).all())
                       for guess, text in zip(guesses, texts))
    return n_right / n_questions


def rate_at(step: int, n_steps: int, peak: float) -> float:
    """Linear warmup, a plateau, and a cosine down to a twentieth over the last third."""
    warm = min(1.0, (step + 1) / 200)
    tail = max(0.0, (step / n_steps - 2 / 3) * 3)
    return peak * warm * (0.05 + 0.95 * (1 + math.cos(math.pi * tail)) / 2)


def save(model: RecallModel, path: pathlib.Path) -> None:
    with whole_file(path) as part:
        torch.save(model.state_dict(), part)


def length_of_step(rng: random.Random, level: int) -> int:
    """Mostly the longest length reached; a fifth of the steps repeats a shorter one."""
    return LENGTHS[rng.randrange(level)] if level and rng.random() < 0.2 else LENGTHS[level]


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    model = RecallModel(Shape(n_vocab=len(recall_vocab.tokens())))
    start_with_recall(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=0.01)
    level, average, best, start = 0, 0.0, -1.0, time.monotonic()
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, args.steps, args.rate)
        n_tokens = length_of_step(rng, level)
        loss, right = loss_and_accuracy(model, batch(rng, n_tokens))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if n_tokens == LENGTHS[level]:
            average = 0.95 * average + 0.05 * right
        if (step + 1) % 50 == 0 or step + 1 == args.steps:
            exam = exam_accuracy(model)
            print(f"step {step + 1} length {LENGTHS[level]} loss {loss.item():.4f} answers {average:.3f} "
                  f"exam {exam:.3f} seconds {time.monotonic() - start:.0f}", flush=True)
            if exam >= best:
                best = exam
                save(model, args.out / "best.pt")
        if average > PROMOTION and level + 1 < len(LENGTHS):
            level, average = level + 1, 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(2)
    train(args)


if __name__ == "__main__":
    main()
