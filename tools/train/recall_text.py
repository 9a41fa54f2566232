"""Recall text: records `key=value;` with distinct keys among distractors, and questions `?key=` about them.

A text is a list of pieces, each one token of recall_vocab. Distractors never hold a key, so a key stands in the
document exactly once; they do hold numbers, so a value alone tells nothing.
"""

import dataclasses
import random

from recall_vocab import FILLERS, KEYS, VALUES

RECORD_TOKENS = 4
QUESTION_TOKENS = 5
LONGEST_DISTRACTOR = 15


@dataclasses.dataclass
class Document:
    pieces: list[str]
    values: dict[str, str]  # of each key
    places: dict[str, int]  # index of each key in pieces


def words(rng: random.Random) -> list[str]:
    return [*rng.choices(FILLERS, k=rng.randint(2, 8)), ";"]


def copy(rng: random.Random) -> list[str]:
    part = rng.choices(FILLERS, k=rng.randint(2, 6))
    return [*part, ",", *part, ";"]


def counting(rng: random.Random) -> list[str]:
    n = rng.randint(3, 6)
    start = rng.randrange(len(VALUES) - n)
    pieces = []
    for value in VALUES[start:start + n]:
        pieces += [value, ","]
    return [*pieces[:-1], ";"]


def distractor(rng: random.Random) -> list[str]:
    pieces = rng.choice((words, words, copy, counting))(rng)
    return pieces + ["\n"] if rng.random() < 0.3 else pieces


def document(rng: random.Random, n_tokens: int, n_records: int) -> Document:
    """Writes n_records records and fills the text with distractors up to n_tokens, at most one distractor less."""
    if not 0 < n_records <= min(len(KEYS), n_tokens // RECORD_TOKENS):
        raise ValueError(f"document: {n_records} records in {n_tokens} tokens; at most {len(KEYS)}, 4 tokens each")
    values = {key: rng.choice(VALUES) for key in rng.sample(KEYS, n_records)}
    parts = [[key, "=", value, ";"] for key, value in values.items()]
    room = n_tokens - RECORD_TOKENS * n_records
    while room >= LONGEST_DISTRACTOR:
        parts.append(distractor(rng))
        room -= len(parts[-1])
    rng.shuffle(parts)
    pieces = [piece for part in parts for piece in part]
    return Document(pieces, values, {piece: i for i, piece in enumerate(pieces) if piece in values})


def question(key: str) -> list[str]:
    return ["?", key, "="]


def answer(doc: Document, key: str) -> list[str]:
    return [doc.values[key], ";"]


def lesson(rng: random.Random, n_tokens: int, max_records: int) -> tuple[list[str], list[int]]:
    """A document with several questions behind it, at most n_tokens pieces. Also returns where the answers start."""
    n_questions = rng.randint(1, max(1, n_tokens // (2 * QUESTION_TOKENS)))
    n_document = n_tokens - QUESTION_TOKENS * n_questions
    n_records = rng.randint(min(n_questions, max_records), min(max_records, n_document // RECORD_TOKENS))
    doc = document(rng, n_document, n_records)
    pieces, starts = list(doc.pieces), []
    for key in rng.sample(list(doc.values), min(n_questions, n_records)):
        pieces += question(key)
        starts.append(len(pieces))
        pieces += answer(doc, key)
    return pieces, starts


def exam(rng: random.Random, depth: float) -> tuple[Document, str]:
    """A document of 440..490 tokens and the key of the record nearest to a depth in 0..1."""
    n_tokens = rng.randint(440 + LONGEST_DISTRACTOR, 490)
    doc = document(rng, n_tokens, rng.randint(24, 64))
    return doc, min(doc.places, key=lambda key: abs(doc.places[key] / len(doc.pieces) - depth))
