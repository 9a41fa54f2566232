"""The vocabulary of the recall model: a GPT-2-style byte-level BPE that splits recall text as we want it.

Every key (a consonant and a vowel), every value (two digits) and every filler word (with its leading space) is one
token. All 256 byte tokens are there too, so any UTF-8 text has a tokenization.
"""

import functools
import itertools
import re

KEYS = [c + v for c in "bcdfghjklmnpqrstvwxyz" for v in "aeiou"]
VALUES = [f"{i:02d}" for i in range(100)]
# Words of two syllables, so that a word costs few merges. In the text each has a leading space.
FILLERS = [" " + word for word in (
    "bone cake cane cave cove date dome dune face fire five game gate home hope kite lake lane lava lime line mile "
    "mine mole nine nose note pine pipe pole rise rope rose sage sofa tale time tide tuna tune vase vine wave wine "
    "wire zone").split()]
BOS, END = "<s>", "</s>"

# What GPT-2 splits a text into before it merges, for the ASCII text that we write.
PRETOKEN = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")


@functools.cache
def byte_letters() -> list[str]:
    """The printable letter that stands for each byte in a GPT-2 vocabulary: itself, or U+0100 and up in order."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = itertools.count(0x100)
    return [chr(byte if byte in printable else next(spare)) for byte in range(256)]


def to_letters(text: str) -> str:
    """Writes the UTF-8 bytes of a text in the letters of the vocabulary."""
    return "".join(byte_letters()[byte] for byte in text.encode())


def merge_all(letters: str, ranks: dict[tuple[str, str], int]) -> list[str]:
    """Byte-pair encoding of one pretoken: always the adjacent pair of the lowest rank, leftmost first."""
    parts = list(letters)
    while len(parts) > 1:
        rank, at = min((ranks.get(pair, len(ranks)), i) for i, pair in enumerate(itertools.pairwise(parts)))
        if rank == len(ranks):
            break
        parts[at:at + 2] = [parts[at] + parts[at + 1]]
    return parts


@functools.cache
def merges() -> dict[tuple[str, str], int]:
    """Merges with their ranks. A later word only adds higher ranks, so it cannot split an earlier one differently."""
    ranks: dict[tuple[str, str], int] = {}
    for piece in KEYS + VALUES + FILLERS:
        parts = merge_all(to_letters(piece), ranks)
        while len(parts) > 1:
            ranks[parts[0], parts[1]] = len(ranks)
            parts = merge_all(to_letters(piece), ranks)
    return ranks


@functools.cache
def tokens() -> list[str]:
    """Token texts in the letters of the vocabulary, in id order: control tokens, bytes, merges."""
    return [BOS, END, *byte_letters(), *(left + right for left, right in merges())]


@functools.cache
def token_ids() -> dict[str, int]:
    return {token: i for i, token in enumerate(tokens())}


@functools.cache
def piece_ids() -> dict[str, int]:
    """The id of each piece of recall text that is one token."""
    pieces = [*KEYS, *VALUES, *FILLERS, *"=;?,\n"]
    return {piece: token_ids()[to_letters(piece)] for piece in pieces} | {BOS: 0, END: 1}


def tokenize(text: str) -> list[int]:
    """Tokenizes ASCII text as llama.cpp does with this vocabulary, without BOS."""
    return [token_ids()[part] for pretoken in PRETOKEN.findall(text)
            for part in merge_all(to_letters(pretoken), merges())]
