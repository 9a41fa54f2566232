"""A plain forward pass of LLaDA and Dream in numpy, F64, with the keys and values of earlier passes kept.

The slow reference that golden traces come from: one text, no batch, every step as the papers write it. Rows that a pass does
not compute keep the keys and values of the pass that computed them last, as Fast-dLLM's caches do (arXiv 2505.22618).
"""

import dataclasses
import pathlib

import numpy

import dllm_checkpoint
import safetensors_file
from dllm_loop import Proposal


@dataclasses.dataclass
class Cache:
    """Keys (rotated) and values of the whole canvas: per layer [n_canvas, n_head_kv, n_embd_head]."""

    k: list[numpy.ndarray]
    v: list[numpy.ndarray]


def rms_norm(x: numpy.ndarray, weight: numpy.ndarray, eps: float) -> numpy.ndarray:
    return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def softmax(x: numpy.ndarray) -> numpy.ndarray:
    e = numpy.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Network:
    """The weights of a checkpoint under their GGUF names, rows as the checkpoint has them."""

    def __init__(self, folder: pathlib.Path):
        self.shape = dllm_checkpoint.read_shape(dllm_checkpoint.Config(folder / "config.json"))
        wanted = dllm_checkpoint.expected_tensors(self.shape)
        found = safetensors_file.read_folder(folder)
        dllm_checkpoint.check_tensors(folder, wanted, found)
        self.weights = {t.gguf_name: found[t.name].values().astype(numpy.float64) for t in wanted}

    def empty_cache(self, n_canvas: int) -> Cache:
        size = (n_canvas, self.shape.n_head_kv, self.shape.n_embd_head)
        return Cache(*([numpy.full(size, numpy.nan) for _ in range(self.shape.n_layer)] for _ in "kv"))

    def linear(self, x: numpy.ndarray, name: str) -> numpy.ndarray:
        return x @ self.weights[f"{name}.weight"].T + self.weights.get(f"{name}.bias", 0)

    def rotate(self, x: numpy.ndarray, first: int) -> numpy.ndarray:
        """x: [rows, heads, n_embd_head], of the positions from `first` on; value i turns with value i + n_embd_head / 2."""
        half = self.shape.n_embd_head // 2
        frequency = self.shape.rope_base ** (-numpy.arange(half) / half)
        angle = numpy.outer(numpy.arange(first, first + x.shape[0]), frequency)[:, None, :]
        a, b = x[..., :half], x[..., half:]
        return numpy.concatenate([a * numpy.cos(angle) - b * numpy.sin(angle),
                                  a * numpy.sin(angle) + b * numpy.cos(angle)], -1)

    def attention(self, x: numpy.ndarray, i_layer: int, first: int, cache: Cache) -> numpy.ndarray:
        """x: normed rows [rows, n_embd] of the positions from `first` on; writes their keys and values before all are read."""
        name, n = f"blk.{i_layer}.attn", x.shape[0]
        q, k, v = (self.linear(x, f"{name}_{part}").reshape(n, -1, self.shape.n_embd_head) for part in "qkv")
        cache.k[i_layer][first:first + n] = self.rotate(k, first)
        cache.v[i_layer][first:first + n] = v
        n_group = self.shape.n_head // self.shape.n_head_kv
        keys, values = (numpy.repeat(c[i_layer], n_group, axis=1) for c in (cache.k, cache.v))
        scores = numpy.einsum("rhd,khd->hrk", self.rotate(q, first), keys) / self.shape.n_embd_head**0.5
        return self.linear(numpy.einsum("hrk,khd->rhd", softmax(scores), values).reshape(n, -1), f"{name}_output")

    def forward(self, ids: list[int], first: int, end: int, cache: Cache) -> tuple[list[numpy.ndarray], numpy.ndarray]:
        """Rows [first, end) of the canvas `ids`. Returns what leaves each layer [rows, n_embd], and logits [rows, n_vocab]."""
        x = self.weights["token_embd.weight"][ids[first:end]]
        hidden = []
        for i in range(self.shape.n_layer):
            normed = rms_norm(x, self.weights[f"blk.{i}.attn_norm.weight"], self.shape.norm_eps)
            x = x + self.attention(normed, i, first, cache)
            normed = rms_norm(x, self.weights[f"blk.{i}.ffn_norm.weight"], self.shape.norm_eps)
            gate = self.linear(normed, f"blk.{i}.ffn_gate")
            x = x + self.linear(gate / (1 + numpy.exp(-gate)) * self.linear(normed, f"blk.{i}.ffn_up"), f"blk.{i}.ffn_down")
            hidden.append(x)
        return hidden, self.linear(rms_norm(x, self.weights["output_norm.weight"], self.shape.norm_eps), "output")


class Canvas:
    """One text being filled, as dllm_loop.decode asks for it: ids, and proposals of the rows computed last."""

    def __init__(self, network: Network, ids: list[int]):
        self.network = network
        self.ids = ids
        self.mask_id = network.shape.mask_id
        self.shift = int(network.shape.has_shifted_logits)
        self.cache = network.empty_cache(len(ids))

    def compute(self, first: int, end: int) -> None:
        self.first = first
        _, self.logits = self.network.forward(self.ids, first, end, self.cache)

    def proposal(self, position: int) -> Proposal:
        """Out of the row that predicts this position; MASK is never proposed and has no probability."""
        row = max(0, position - self.shift) - self.first
        if not 0 <= row < len(self.logits):
            raise IndexError(f"position {position}: its row was not computed in this pass")
        z = self.logits[row].copy()
        z[self.mask_id] = -numpy.inf
        p = softmax(z)
        second, best = numpy.argsort(z, kind="stable")[-2:]
        return Proposal(int(best), float(p[best]), float(p[best] - p[second]), float((p[p > 0] * numpy.log(p[p > 0])).sum()),
                        float(z[best] - z[second]))
