"""Writes a random Llama of one layer with a byte vocabulary as GGUF version 3, for tests of the program."""

import pathlib
import random
import struct

N_EMBD, N_FF, N_HEAD, N_HEAD_KV, N_CTX = 64, 64, 2, 1, 4096
N_KV = N_EMBD // N_HEAD * N_HEAD_KV
U32, F32, STRING, ARRAY, I32 = 4, 6, 8, 9, 5
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # token types


def string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def array(kind: int, values: list) -> bytes:
    packed = b"".join(string(v) if kind == STRING else struct.pack("<f" if kind == F32 else "<i", v) for v in values)
    return struct.pack("<IQ", kind, len(values)) + packed


def metadata() -> list[tuple[str, int, bytes]]:
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + ["\u2581"] + letters
    types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * (1 + len(letters))
    keys = [("general.architecture", STRING, string("llama")), ("general.name", STRING, string("Tiny"))]
    sizes = {"context_length": N_CTX, "embedding_length": N_EMBD, "block_count": 1, "feed_forward_length": N_FF,
             "attention.head_count": N_HEAD, "attention.head_count_kv": N_HEAD_KV, "vocab_size": len(tokens)}
    keys += [(f"llama.{key}", U32, struct.pack("<I", value)) for key, value in sizes.items()]
    keys.append(("llama.attention.layer_norm_rms_epsilon", F32, struct.pack("<f", 1e-5)))
    keys.append(("tokenizer.ggml.model", STRING, string("llama")))
    keys.append(("tokenizer.ggml.tokens", ARRAY, array(STRING, tokens)))
    keys.append(("tokenizer.ggml.scores", ARRAY, array(F32, [-float(i) for i in range(len(tokens))])))
    keys.append(("tokenizer.ggml.token_type", ARRAY, array(I32, types)))
    for key, value in (("unknown", 0), ("bos", 1), ("eos", 2)):
        keys.append((f"tokenizer.ggml.{key}_token_id", U32, struct.pack("<I", value)))
    return keys


def shapes() -> dict[str, tuple[int, ...]]:
    """In ggml order, fastest first."""
    n_vocab = 3 + 256 + 27
    layer = {"attn_norm": (N_EMBD,), "attn_q": (N_EMBD, N_EMBD), "attn_k": (N_EMBD, N_KV), "attn_v": (N_EMBD, N_KV),
             "attn_output": (N_EMBD, N_EMBD), "ffn_norm": (N_EMBD,), "ffn_gate": (N_EMBD, N_FF),
             "ffn_up": (N_EMBD, N_FF), "ffn_down": (N_FF, N_EMBD)}
    out = {"token_embd.weight": (N_EMBD, n_vocab), "output_norm.weight": (N_EMBD,)}
    return out | {f"blk.0.{name}.weight": shape for name, shape in layer.items()}


def q4_0(values: list[float]) -> bytes:
    """Blocks of 32 values: a scale in F16, then value i and i + 16 in the halves of a byte."""
    data = b""
    for begin in range(0, len(values), 32):
        block = values[begin:begin + 32]
        scale = max(map(abs, block)) / 7
        steps = [round(v / scale) + 8 for v in block]
        data += struct.pack("<e16B", scale, *(low | high << 4 for low, high in zip(steps[:16], steps[16:])))
    return data


def write(path: pathlib.Path, is_quantised: bool = False):
    """Matrices are F32 or Q4_0."""
    lottery = random.Random(1)
    keys = metadata()
    header = b"GGUF" + struct.pack("<IQQ", 3, len(shapes()), len(keys))
    header += b"".join(string(key) + struct.pack("<I", kind) + value for key, kind, value in keys)
    data = b""
    for name, shape in shapes().items():
        header += string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        is_q4_0 = is_quantised and len(shape) > 1
        header += struct.pack("<IQ", 2 if is_q4_0 else 0, len(data))
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = [lottery.gauss(0, 0.1) if len(shape) > 1 else 1.0 for _ in range(n)]
        data += q4_0(values) if is_q4_0 else struct.pack(f"<{n}f", *values)
        data += b"\0" * (-len(data) % 32)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + b"\0" * (-len(header) % 32) + data)
