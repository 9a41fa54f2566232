"""English prose with one fact hidden in it: what a chat model is asked about behind a long document.

All sentences are ours. A document takes its paragraphs from several scenes of a small coastal town and uses no sentence
pattern twice; the slots of a pattern vary from document to document. A fact and its answer stand in it exactly once.
"""

import dataclasses
import random
import re

from facts_scenes import SCENES, WORDS

N_CHARS = 6500  # about 1,500 tokens of a chat model


@dataclasses.dataclass(frozen=True)
class Fact:
    sentence: str
    question: str
    answer: str


def digits(rng: random.Random, n: int) -> str:
    return str(rng.randrange(10 ** (n - 1), 10 ** n))


def gate_code(rng: random.Random) -> Fact:
    place = rng.choice(["north gate", "south gate", "boat shed", "tool room", "old granary", "archive cellar",
                        "roof door", "pump house", "bicycle store", "chapel tower"])
    code = digits(rng, 4)
    return Fact(f"The access code of the {place} is {code}.",
                f"What is the access code of the {place}? Answer with the number only.", code)


def locker(rng: random.Random) -> Fact:
    name = rng.choice(["Mrs Abelard", "Mr Quillfeather", "Doctor Osei", "Miss Tamsin Roe", "Captain Idris",
                       "Mr Vandermolen", "Mrs Okonjo", "Professor Lindqvist"])
    number = digits(rng, 3)
    return Fact(f"The locker number of {name} is {number}.",
                f"What is the locker number of {name}? Answer with the number only.", number)


def extension(rng: random.Random) -> Fact:
    office = rng.choice(["pilot office", "seed bank", "night nurse", "ferry captain", "lost property desk",
                         "museum workshop", "tide observatory", "music school"])
    number = digits(rng, 4)
    return Fact(f"The telephone extension of the {office} is {number}.",
                f"What is the telephone extension of the {office}? Answer with the number only.", number)


def pet_name(rng: random.Random) -> Fact:
    animal = rng.choice(["grey donkey", "one-eyed parrot", "white goat", "three-legged dog", "tame heron",
                         "black pony"])
    name = rng.choice(["Pemberton", "Marzipan", "Octavia", "Hercules", "Nutmeg", "Balthazar", "Clementine", "Socrates",
                       "Juniper", "Waffle"])
    return Fact(f"The {animal} that everybody feeds is called {name}.",
                f"What is the {animal} called? Answer with the name only.", name)


def mascot(rng: random.Random) -> Fact:
    club = rng.choice(["chess club", "rowing club", "astronomy circle", "spelling club", "beekeepers' guild",
                       "kite society"])
    animal = rng.choice(["crocodile", "zebra", "panther", "kangaroo", "dolphin", "camel", "tortoise", "penguin",
                         "leopard", "gorilla"])
    return Fact(f"The mascot of the {club} is a {animal}.",
                f"What animal is the mascot of the {club}? Answer with one word only.", animal)


def fact(rng: random.Random) -> Fact:
    return rng.choice((gate_code, locker, extension, pet_name, mascot))(rng)


def fill(pattern: str, rng: random.Random) -> str:
    """Replaces each {slot} of a sentence pattern, the same slot by the same word."""
    chosen = {slot: rng.choice(WORDS[slot]) for slot in dict.fromkeys(re.findall(r"\{(\w+)\}", pattern))}
    sentence = pattern.format(**chosen)
    return sentence[0].upper() + sentence[1:]


def paragraphs(rng: random.Random, n_chars: int) -> list[list[str]]:
    """Paragraphs of four to seven sentences, each from one scene, until n_chars are reached."""
    unused = {name: rng.sample(patterns, len(patterns)) for name, patterns in SCENES.items()}
    written, last = [], None
    while sum(len(sentence) + 1 for paragraph in written for sentence in paragraph) < n_chars:
        scene = rng.choice([name for name, patterns in unused.items() if len(patterns) >= 4 and name != last])
        taken = [unused[scene].pop() for _ in range(min(rng.randint(4, 7), len(unused[scene])))]
        written.append([fill(pattern, rng) for pattern in taken])
        last = scene
    return written


def document(rng: random.Random, hidden: Fact, depth: float) -> tuple[str, int]:
    """The text with the fact between the two sentences nearest to a depth in 0..1, and the fact's first character."""
    written = paragraphs(rng, N_CHARS)
    lengths = [(i, j, len(sentence) + 1) for i, paragraph in enumerate(written) for j, sentence in enumerate(paragraph)]
    total, before = sum(length for _, _, length in lengths), 0
    gaps = []  # before each sentence, and behind the last
    for i, j, length in lengths:
        gaps.append((abs(before / total - depth), i, j))
        before += length
    gaps.append((abs(1 - depth), len(written) - 1, len(written[-1])))
    _, i, j = min(gaps)
    written[i].insert(j, hidden.sentence)
    text = "\n\n".join(" ".join(paragraph) for paragraph in written)
    return text, text.index(hidden.sentence)
