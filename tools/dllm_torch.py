"""LLaDA and Dream in PyTorch, F32, written from the published networks and independent of dllm_forward.py.

LLaDA is a Llama without causal mask under other names, Dream a Qwen2 without causal mask. Weights come straight from the
checkpoint, under its names.
"""

import json
import pathlib

import torch
from torch.nn import functional

import safetensors_file

NAMES = {
    "LLaDAModelLM": {"embedding": "model.transformer.wte", "norm": "model.transformer.ln_f", "head": "model.transformer.ff_out",
                     "layer": "model.transformer.blocks.{}.", "attn_norm": "attn_norm", "q": "q_proj", "k": "k_proj",
                     "v": "v_proj", "o": "attn_out", "ffn_norm": "ff_norm", "gate": "ff_proj", "up": "up_proj",
                     "down": "ff_out"},
    "DreamModel": {"embedding": "model.embed_tokens", "norm": "model.norm", "head": "lm_head", "layer": "model.layers.{}.",
                   "attn_norm": "input_layernorm", "q": "self_attn.q_proj", "k": "self_attn.k_proj",
                   "v": "self_attn.v_proj", "o": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
                   "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"},
}


def rotate_half(x: torch.Tensor) -> torch.Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat((-b, a), dim=-1)


class Model:
    def __init__(self, folder: pathlib.Path):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.names = NAMES[config["architectures"][0]]
        self.weights = {n: torch.from_numpy(t.values()) for n, t in safetensors_file.read_folder(folder).items()}
        self.n_layer = config.get("n_layers", config.get("num_hidden_layers"))
        self.n_head = config.get("n_heads", config.get("num_attention_heads"))
        self.eps, self.base = config["rms_norm_eps"], config["rope_theta"]

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weights[name + ".weight"]

    def linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, self.weights[name + ".weight"], self.weights.get(name + ".bias"))

    def attention(self, x: torch.Tensor, prefix: str) -> torch.Tensor:
        n_batch, n, n_embd = x.shape
        width = n_embd // self.n_head
        q, k, v = (self.linear(x, prefix + self.names[part]).view(n_batch, n, -1, width).transpose(1, 2) for part in "qkv")
        inverse = self.base ** -(torch.arange(0, width, 2).float() / width)
        angle = torch.outer(torch.arange(n).float(), inverse).repeat(1, 2)
        q, k = (y * angle.cos() + rotate_half(y) * angle.sin() for y in (q, k))
        k, v = (y.repeat_interleave(self.n_head // y.shape[1], dim=1) for y in (k, v))
        mixed = torch.softmax(q @ k.transpose(2, 3) / width**0.5, dim=-1) @ v
        return self.linear(mixed.transpose(1, 2).reshape(n_batch, n, n_embd), prefix + self.names["o"])

    def __call__(self, ids: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """ids: [batch, rows]. Returns what leaves each layer [batch, rows, n_embd], and logits [batch, rows, n_vocab]."""
        x, hidden = self.weights[self.names["embedding"] + ".weight"][ids], []
        for i in range(self.n_layer):
            prefix = self.names["layer"].format(i)
            x = x + self.attention(self.norm(x, prefix + self.names["attn_norm"]), prefix)
            y = self.norm(x, prefix + self.names["ffn_norm"])
            gated = functional.silu(self.linear(y, prefix + self.names["gate"])) * self.linear(y, prefix + self.names["up"])
            x = x + self.linear(gated, prefix + self.names["down"])
            hidden.append(x)
        return hidden, self.linear(self.norm(x, self.names["norm"]), self.names["head"])
