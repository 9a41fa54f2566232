"""Makes tiny random LLaDA and Dream checkpoints for tests: 2 layers, 64 wide, 97 tokens, F32."""

import json
import pathlib

import numpy

import dllm_checkpoint
import safetensors_file

N_VOCAB = 97
LLADA = {
    "architectures": ["LLaDAModelLM"], "model_type": "llada", "d_model": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 4,
    "mlp_hidden_size": 160, "vocab_size": N_VOCAB, "embedding_size": N_VOCAB, "max_sequence_length": 128,
    "rope_theta": 500000.0, "rms_norm_eps": 1e-5, "layer_norm_type": "rms", "activation_type": "silu",
    "block_type": "llama", "block_group_size": 1, "rope": True, "alibi": False, "weight_tying": False,
    "include_bias": False, "include_qkv_bias": False, "mask_token_id": 96, "eos_token_id": 95,
}
DREAM = {
    "architectures": ["DreamModel"], "model_type": "Dream", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 160, "vocab_size": N_VOCAB,
    "max_position_embeddings": 128, "rope_theta": 500000.0, "rms_norm_eps": 1e-6, "hidden_act": "silu",
    "tie_word_embeddings": False, "use_sliding_window": False, "mask_token_id": 0, "bos_token_id": 2, "eos_token_id": 1,
}
CONFIGS = {"llada": LLADA, "dream": DREAM}
CONTROL = {"llada": ["<|endoftext|>", "<|mdm_mask|>"], "dream": ["<|mask|>", "<|endoftext|>", "<|beginoftext|>"]}


def tokenizer(arch: str) -> dict:
    """Printable ASCII as far as it fits, space, line break and one merge; control tokens stand where config.json says."""
    control = CONTROL[arch]
    n_plain = N_VOCAB - len(control)
    plain = [chr(c) for c in range(ord("!"), ord("!") + n_plain - 3)] + ["Ċ", "Ġ", "he"]
    texts = plain + control if arch == "llada" else control + plain
    added = [{"id": texts.index(text), "content": text, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for text in control]
    return {"version": "1.0", "added_tokens": added, "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "vocab": {text: i for i, text in enumerate(texts)}, "merges": [["h", "e"]]}}


def random_tensors(shape: dllm_checkpoint.Shape, seed: int, head_scale: float) -> dict[str, numpy.ndarray]:
    """Keeps the stream near unit size from layer to layer; head_scale: standard deviation of a logit."""
    rng = numpy.random.Generator(numpy.random.PCG64(seed))
    tensors = {}
    for tensor in dllm_checkpoint.expected_tensors(shape):
        values = rng.standard_normal(tensor.shape)
        if "norm" in tensor.gguf_name:
            values = 1 + 0.1 * values
        elif tensor.gguf_name.endswith(".bias"):
            values = 0.5 * values
        elif tensor.gguf_name == "output.weight":
            values *= head_scale / shape.n_embd**0.5
        elif tensor.gguf_name != "token_embd.weight":
            values *= 1.5 / tensor.shape[1]**0.5
        tensors[tensor.name] = values.astype(numpy.float32)
    return tensors


def write(folder: pathlib.Path, arch: str, seed: int = 1, head_scale: float = 3.0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIGS[arch], indent=1) + "\n", encoding="utf-8")
    text = json.dumps(tokenizer(arch), ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    shape = dllm_checkpoint.read_shape(dllm_checkpoint.Config(folder / "config.json"))
    safetensors_file.write(folder / "model.safetensors", random_tensors(shape, seed, head_scale))
