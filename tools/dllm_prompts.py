#!/usr/bin/env python3
"""Writes prompts with their right answers for the demo model of diffusion text, JSON Lines, one prompt a line.

    dllm_prompts.py OUT.jsonl [--prompts N] [--seed S] [--unlike FILE.jsonl ...]

Each line has task, prompt and answer. Tasks take turns, so that any first part of a file is fair to all:
story    a chain of events that change a number; the answer works through them, one line each, lines of very unlike length
control  the same, its lines broken after every m words instead of after each event; the prompt says m
record   values to be filled into a block of fixed text
listing  numbers to sort, to reverse or to double, on one line

The model was trained on such prompts of the seeds 1000 to 1055. With seed 5 each task gives the prompts of its published
evaluation, for which draws keep their order: change nothing that draws.

    tools/dllm_prompts.py models/dllm/published.jsonl --prompts 128 --seed 5
    tools/dllm_prompts.py models/dllm/heldout.jsonl --unlike models/dllm/published.jsonl
"""

import argparse
import dataclasses
import json
import pathlib
import random
import sys

from json_lines import write_lines

NAMES = ["Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Henry",
         "Iris", "Jack", "Kate", "Liam", "Maya", "Noah", "Olga", "Paul"]
THINGS = ["apples", "books", "coins", "stamps", "shells", "marbles", "pencils", "cards", "stickers", "beads"]
CITIES = ["Oslo", "Paris", "Rome", "Cairo", "Lima", "Delhi", "Tokyo", "Quito"]
LABELS = "ABCDEF"  # of events, up to six
SEED = 20_000_069  # neither training (1000 to 1055), nor its exam (5), nor the smoke set (77)
N_PROMPTS = 250  # a task


@dataclasses.dataclass
class Chain:
    """A story as far as it is told: who holds how many of what."""

    name: str
    things: str
    count: int


def event(rng: random.Random, chain: Chain) -> tuple[str, str]:
    """Changes the count. Returns what the prompt says about it and how the answer works it out."""
    kind, before = rng.random(), chain.count
    if kind < 0.35 and before < 80:
        change = rng.randint(2, min(30, 99 - before))
        chain.count = before + change
        return f"{rng.choice(['finds', 'buys', 'wins'])} {change}", f"{before} + {change} = {chain.count}."
    if kind < 0.65 and before > 3:
        change = rng.randint(1, before - 1)
        chain.count = before - change
        return (f"{rng.choice(['loses', 'sells', 'gives away'])} {change}",
                f"{chain.name} had {before} {chain.things} and then {change} went away, "
                f"so {before} - {change} = {chain.count} {chain.things} are left.")
    if kind < 0.85 and before < 50:
        chain.count = 2 * before
        return ("doubles them",
                f"now we take the number of {chain.things} that {chain.name} has at this point, which is {before}, "
                f"and multiply it by two, and so we get {before} * 2 = {chain.count}.")
    share = rng.choice([2, 3, 5])
    chain.count = before // share
    return f"keeps one of every {share}", f"{before} / {share} is {chain.count}."


def story(rng: random.Random) -> tuple[str, str]:
    chain = Chain(rng.choice(NAMES), rng.choice(THINGS), rng.randint(5, 60))
    told = [f"{chain.name} has {chain.count} {chain.things}."]
    worked = []
    for label in LABELS[:rng.randint(2, 6)]:
        said, line = event(rng, chain)
        told.append(f"{label}: {said}.")
        worked.append(f"{label}: {line}")
    told.append("How many now?")
    worked.append(f"The answer is {chain.count}.")
    return " ".join(told) + "\n", "\n".join(worked) + "\n"


def control(rng: random.Random) -> tuple[str, str]:
    """A story whose line breaks say nothing about its events, yet follow from the prompt."""
    prompt, answer = story(rng)
    n_words = rng.randint(4, 9)
    words = answer.split()
    lines = [" ".join(words[i:i + n_words]) for i in range(0, len(words), n_words)]
    return f"[wrap {n_words}] {prompt}", "\n".join(lines) + "\n"


def record(rng: random.Random) -> tuple[str, str]:
    name, age, city = rng.choice(NAMES), rng.randint(18, 79), rng.choice(CITIES)
    order, things, quantity = rng.randint(1000, 9999), rng.choice(THINGS), rng.randint(1, 99)
    return (f"Write the record: {name}, {age}, {city}, order {order}, {quantity} {things}.\n",
            "{\n"
            f'  "name": "{name}",\n'
            f'  "age": {age},\n'
            f'  "address": {{"city": "{city}"}},\n'
            f'  "order": {{"id": {order}, "item": "{things}", "quantity": {quantity}}}\n'
            "}\n")


def listing(rng: random.Random) -> tuple[str, str]:
    n, first, step = rng.randint(4, 9), rng.randint(1, 40), rng.randint(1, 6)
    wanted = rng.choice(["sort", "reverse", "double"])
    numbers = [first + step * i for i in range(n)]
    if wanted == "sort":
        result = list(numbers)
        rng.shuffle(numbers)
    elif wanted == "reverse":
        result = numbers[::-1]
    else:
        result = [2 * number for number in numbers]
    return f"{wanted}: {', '.join(map(str, numbers))}\n", ", ".join(map(str, result)) + "\n"


TASKS = {"story": story, "control": control, "record": record, "listing": listing}


def prompts(n_prompts: int, seed: int, unlike: frozenset[str] | None = None) -> list[dict]:
    """n_prompts of each task, in turns. Each task draws from a generator of its own. With `unlike` its prompts are passed
    over, and those that were drawn before; listing repeats itself after some dozens."""
    columns = []
    for task, make in TASKS.items():
        rng = random.Random(seed)
        known = set(unlike or ())
        rows: list[dict] = []
        while len(rows) < n_prompts:
            prompt, answer = make(rng)
            if unlike is None or prompt not in known:
                rows.append({"task": task, "prompt": prompt, "answer": answer})
            known.add(prompt)
        columns.append(rows)
    return [row for rows in zip(*columns) for row in rows]


def read_prompts(path: pathlib.Path) -> set[str]:
    return {json.loads(line)["prompt"] for line in path.read_text(encoding="utf-8").splitlines()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, metavar="OUT.jsonl")
    parser.add_argument("--prompts", type=int, default=N_PROMPTS, metavar="N", help="of each task (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, metavar="S", help="default: %(default)s, held out")
    parser.add_argument("--unlike", type=pathlib.Path, nargs="+", metavar="FILE.jsonl",
                        help="sets whose prompts must not come again; then none comes twice either")
    args = parser.parse_args()
    if args.prompts < 1:
        parser.error(f"--prompts {args.prompts}: at least 1")
    unlike = frozenset().union(*map(read_prompts, args.unlike)) if args.unlike else None
    write_lines(args.out, prompts(args.prompts, args.seed, unlike))
    print(f"{args.out}: {args.prompts} prompts for each of {len(TASKS)} tasks, {args.out.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
