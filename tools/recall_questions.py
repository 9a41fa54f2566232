#!/usr/bin/env python3
"""Writes the question sets of `reprise eval recall`, JSON Lines, one question a line, complete or absent.

Usage: recall_questions.py pairs|facts OUT.jsonl [--questions N] [--seed S]
pairs: key=value records for the recall model (train/recall_text.py); the prompt is the document, then the question.
facts: English prose with one fact in it for chat models (facts_text.py).
Each line has document, question, answer, depth (place of the asked record or fact, 0 first, 1 last) and kind.
"""

import argparse
import pathlib
import random
import sys

sys.path.append(str(pathlib.Path(__file__).parent / "train"))
import facts_text
import recall_text

from json_lines import write_lines

N_QUESTIONS = {"pairs": 1000, "facts": 200}
SEED = 20_000_033  # training (1) and its exam (20,000,003) never see it


def pairs_question(rng: random.Random, depth: float) -> dict:
    doc, key = recall_text.exam(rng, depth)
    return {"document": "".join(doc.pieces), "question": "".join(recall_text.question(key)),
            "answer": "".join(recall_text.answer(doc, key)), "depth": round(doc.places[key] / len(doc.pieces), 3)}


def facts_question(rng: random.Random, depth: float) -> dict:
    fact = facts_text.fact(rng)
    document, place = facts_text.document(rng, fact, depth)
    return {"document": document, "question": fact.question, "answer": fact.answer,
            "depth": round(place / len(document), 3)}


def questions(kind: str, n_questions: int, seed: int) -> list[dict]:
    """Questions with depths spread evenly over 0..1, in random order, so that any first part of them is fair too."""
    rng = random.Random(seed)
    make = {"pairs": pairs_question, "facts": facts_question}[kind]
    depths = [i / max(1, n_questions - 1) for i in range(n_questions)]
    rng.shuffle(depths)
    return [make(rng, depth) | {"kind": kind} for depth in depths]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=sorted(N_QUESTIONS))
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--questions", type=int)
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    n_questions = N_QUESTIONS[args.kind] if args.questions is None else args.questions
    if n_questions < 1:
        parser.error(f"--questions {n_questions}: at least 1")
    write_lines(args.out, questions(args.kind, n_questions, args.seed))
    print(f"{args.out}: {n_questions} questions, {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
