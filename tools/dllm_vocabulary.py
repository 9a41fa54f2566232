"""Reads the byte-level BPE of a checkpoint into what GGUF's tokenizer `gpt2` holds.

It stands in tokenizer.json, or (Dream) in vocab.json, merges.txt and the added tokens of tokenizer_config.json.
"""

import dataclasses
import json
import pathlib

from dllm_checkpoint import CheckpointError, Config

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # token types, as GGUF numbers them

# How text is cut before BPE: the steps of tokenizer.json, an expression where there is one, and llama.cpp's name.
ENGLISH = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
SPACES = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PRE_TOKENIZERS = {
    ("ByteLevel",): "gpt-2",
    ("Digits", "ByteLevel"): "smollm",
    (ENGLISH + r"\p{N}" + SPACES, "ByteLevel"): "qwen2",
    (ENGLISH + r"\p{N}{1,3}" + SPACES, "ByteLevel"): "llama-bpe",
    (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
     "ByteLevel"): "llada-moe",
}


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Tokens by id with their types, merges by rank as "left right", and the special tokens that the checkpoint names."""

    tokens: list[str]
    types: list[int]
    merges: list[str]
    pre_tokenizer: str  # llama.cpp's name
    bos_id: int | None
    eos_id: int | None
    add_bos: bool
    chat_template: str | None


@dataclasses.dataclass
class Bpe:
    """What the tokenizer's files say, before the checks."""

    path: pathlib.Path
    texts: dict[int, str]
    merges: list[str]
    added: dict[int, dict]  # id to content and special
    pre_tokenizer: str | None


def read_json(path: pathlib.Path) -> dict:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}; give the folder of a whole checkpoint") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: is no JSON object; download it again")
    return values


def pre_tokenizer_of(step: dict) -> str | None:
    """llama.cpp's name of tokenizer.json's pre_tokenizer, or None: Digits that stay together are another kind."""
    steps = step.get("pretokenizers", [step])
    if any(s.get("type") == "Digits" and not s.get("individual_digits") for s in steps):
        return None
    key = tuple(s["pattern"].get("Regex") if s.get("type") == "Split" else s.get("type") for s in steps)
    return PRE_TOKENIZERS.get(key)


def from_tokenizer_json(path: pathlib.Path) -> Bpe:
    file = read_json(path)
    model = file.get("model") or {}
    if model.get("type") != "BPE" or (file.get("decoder") or {}).get("type") != "ByteLevel":
        raise CheckpointError(f"{path}: the tokenizer is {model.get('type')!r}; only byte-level BPE is supported")
    return Bpe(path, {i: text for text, i in model["vocab"].items()},
               [m if isinstance(m, str) else " ".join(m) for m in model["merges"]],
               {token["id"]: token for token in file.get("added_tokens", [])},
               pre_tokenizer_of(file.get("pre_tokenizer") or {}))


def from_merges_txt(folder: pathlib.Path, beside: dict, architecture: str) -> Bpe:
    path = folder / "vocab.json"
    try:
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CheckpointError(f"{error}; a checkpoint has tokenizer.json, or vocab.json and merges.txt") from None
    return Bpe(path, {i: text for text, i in read_json(path).items()},
               [line for line in lines if line and not line.startswith("#version")],
               {int(i): token for i, token in beside.get("added_tokens_decoder", {}).items()},
               "qwen2" if architecture == "dream" else None)


def read_vocabulary(config: Config, architecture: str, n_vocab: int, mask_id: int,
                    pre_tokenizer: str | None) -> Vocabulary:
    """n_vocab: rows of the embedding; those behind the last token get names that no text holds. pre_tokenizer: llama.cpp's
    name, or None: found out. Throws CheckpointError."""
    folder = config.path.parent
    beside_path = folder / "tokenizer_config.json"
    beside = read_json(beside_path) if beside_path.exists() else {}
    path = folder / "tokenizer.json"
    bpe = from_tokenizer_json(path) if path.exists() else from_merges_txt(folder, beside, architecture)
    pre_tokenizer = pre_tokenizer or bpe.pre_tokenizer
    if pre_tokenizer is None:
        raise CheckpointError(f"{bpe.path}: how it cuts text before BPE is not known here; name llama.cpp's kind with "
                              "--pre-tokenizer")
    types = dict.fromkeys(bpe.texts, NORMAL)
    for i, token in bpe.added.items():
        bpe.texts[i] = token["content"]
        types[i] = CONTROL if token["special"] else USER_DEFINED
    check_ids(bpe, n_vocab)

    ids = {text: i for i, text in bpe.texts.items()}
    bos_id, eos_id = (special_id(name, config, beside, beside_path, ids) for name in ("bos", "eos"))
    for name, i in (("mask", mask_id), ("bos", bos_id), ("eos", eos_id)):
        if i is not None and i not in bpe.texts:
            raise CheckpointError(f"{bpe.path}: has no token {i}, which is '{name}_token_id' of config.json")
    if mask_id == eos_id:
        raise CheckpointError(f"{config.path}: mask and end are both token {mask_id}")
    for i in {mask_id, bos_id, eos_id} - {None}:
        types[i] = CONTROL
    # LLaDA was trained with BOS in front, though its tokenizer_config.json does not ask for it (as llama.cpp's converter).
    add_bos = bos_id is not None and (architecture == "llada" or beside.get("add_bos_token") is True)
    template = beside.get("chat_template")
    return Vocabulary(
        tokens=[bpe.texts.get(i, f"[PAD{i}]") for i in range(n_vocab)],
        types=[types.get(i, UNUSED) for i in range(n_vocab)], merges=bpe.merges, pre_tokenizer=pre_tokenizer,
        bos_id=bos_id, eos_id=eos_id, add_bos=add_bos, chat_template=template if isinstance(template, str) else None)


def check_ids(bpe: Bpe, n_vocab: int) -> None:
    last = max(bpe.texts)
    if last >= n_vocab:
        raise CheckpointError(f"{bpe.path}: token {last} ('{bpe.texts[last]}') is beyond the {n_vocab} rows of the "
                              "embedding; the tokenizer is another model's")
    ids: dict[str, int] = {}
    for i, text in bpe.texts.items():
        if ids.setdefault(text, i) != i:
            raise CheckpointError(f"{bpe.path}: tokens {ids[text]} and {i} are both '{text}'; download it again")


def special_id(name: str, config: Config, beside: dict, beside_path: pathlib.Path, ids: dict[str, int]) -> int | None:
    """The id of bos or eos: tokenizer_config.json names its text, or config.json its id."""
    token = beside.get(f"{name}_token")
    text = token["content"] if isinstance(token, dict) else token
    if text is None:
        return config.count(f"{name}_token_id", least=0) if config.is_given(f"{name}_token_id") else None
    if text not in ids:
        raise CheckpointError(f"{beside_path}: '{name}_token' is {text!r}, which the vocabulary does not have")
    return ids[text]
