"""What a LLaDA or Dream checkpoint declares: its sizes, and the tensors that must be there.

Sources: LLaDA (arXiv 2502.09992) and Dream (arXiv 2508.15487), the config.json of their published checkpoints; GGUF names
and the order of q and k rows as llama.cpp's converter has them.
"""

import dataclasses
import json
import math
import pathlib

# config.json of LLaDA comes from OLMo and can describe other networks too. A value that is absent means OLMo's default;
# those in the first line have a default that is not LLaDA's, and must be there.
LLADA_STATED = {"block_type": "llama", "layer_norm_type": "rms", "activation_type": "silu", "include_bias": False,
                "weight_tying": False}
LLADA_UNLESS_ABSENT = {"rope": True, "alibi": False, "include_qkv_bias": False, "bias_for_layer_norm": False,
                       "attention_layer_norm": False, "input_emb_norm": False, "scale_logits": False,
                       "block_group_size": 1, "multi_query_attention": False, "is_causal": False}
DREAM_UNLESS_ABSENT = {"hidden_act": "silu", "tie_word_embeddings": False, "use_sliding_window": False,
                       "use_mrope": False, "is_causal": False}


class CheckpointError(Exception):
    """The checkpoint cannot be converted; the text says what is wrong where, and what to do."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes and constants of one model; sizes in elements."""

    arch: str  # llada or dream, as GGUF has it
    n_vocab: int  # rows of the embedding, at least the tokenizer's size
    n_embd: int
    n_layer: int
    n_head: int
    n_head_kv: int
    n_ff: int
    n_ctx: int
    rope_base: float
    norm_eps: float
    mask_id: int

    @property
    def n_embd_head(self) -> int:
        return self.n_embd // self.n_head

    @property
    def has_shifted_logits(self) -> bool:
        """Whether the row of position i - 1 predicts position i."""
        return self.arch == "dream"


@dataclasses.dataclass(frozen=True)
class Expected:
    """One tensor: its names, its shape in checkpoint order, and the heads whose rows GGUF wants interleaved (0: none)."""

    gguf_name: str
    name: str
    shape: tuple[int, ...]
    n_head_interleaved: int = 0


class Config:
    """config.json, whose every value is checked when it is read."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        try:
            self.values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: {error}; give the folder of a checkpoint") from None
        if not isinstance(self.values, dict):
            raise CheckpointError(f"{path}: is no JSON object; download it again")

    def get(self, key: str) -> object:
        return self.values.get(key)

    def is_given(self, key: str) -> bool:
        return self.values.get(key) is not None

    def count(self, key: str, least: int = 1) -> int:
        value = self.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**31:
            raise CheckpointError(f"{self.path}: '{key}' is {value!r}, expected an integer of at least {least}")
        return value

    def positive(self, key: str) -> float:
        value = self.get(key)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
            raise CheckpointError(f"{self.path}: '{key}' is {value!r}, expected a number above 0")
        return float(value)

    def require(self, wanted: dict, unless_absent: bool) -> None:
        for key, value in wanted.items():
            if self.get(key) != value and not (unless_absent and not self.is_given(key)):
                raise CheckpointError(f"{self.path}: '{key}' is {self.get(key)!r}; only {value!r} is supported")


def architecture(config: Config) -> str:
    architectures = config.get("architectures")
    name = architectures[0] if isinstance(architectures, list) and architectures else None
    known = {"LLaDAModelLM": "llada", "DreamModel": "dream"}
    if name not in known:
        raise CheckpointError(f"{config.path}: architecture {name!r} is not supported; {', '.join(known)} are. Models that "
                              "are causal between blocks (LLaDA2, SDAR) or have experts (LLaDA-MoE) are others")
    return known[name]


def llada_shape(config: Config) -> Shape:
    config.require(LLADA_STATED, unless_absent=False)
    config.require(LLADA_UNLESS_ABSENT, unless_absent=True)
    n_head = config.count("n_heads")
    return Shape(
        arch="llada", n_vocab=config.count("embedding_size" if config.is_given("embedding_size") else "vocab_size"),
        n_embd=config.count("d_model"), n_layer=config.count("n_layers"), n_head=n_head,
        n_head_kv=config.count("n_kv_heads") if config.is_given("n_kv_heads") else n_head,
        n_ff=config.count("mlp_hidden_size"), n_ctx=config.count("max_sequence_length"),
        rope_base=config.positive("rope_theta"), norm_eps=config.positive("rms_norm_eps"), mask_id=mask_id(config))


def dream_shape(config: Config) -> Shape:
    config.require(DREAM_UNLESS_ABSENT, unless_absent=True)
    if config.is_given("rope_scaling"):
        raise CheckpointError(f"{config.path}: 'rope_scaling' is set; only models without it are supported")
    return Shape(
        arch="dream", n_vocab=config.count("vocab_size"), n_embd=config.count("hidden_size"),
        n_layer=config.count("num_hidden_layers"), n_head=config.count("num_attention_heads"),
        n_head_kv=config.count("num_key_value_heads"), n_ff=config.count("intermediate_size"),
        n_ctx=config.count("max_position_embeddings"), rope_base=config.positive("rope_theta"),
        norm_eps=config.positive("rms_norm_eps"), mask_id=mask_id(config))


def mask_id(config: Config) -> int:
    if not config.is_given("mask_token_id"):
        raise CheckpointError(f"{config.path}: 'mask_token_id' is missing, and nothing can be decoded without it; add the "
                              "id of the mask token, as the model's documentation gives it")
    return config.count("mask_token_id", least=0)


def read_shape(config: Config) -> Shape:
    shape = {"llada": llada_shape, "dream": dream_shape}[architecture(config)](config)
    if shape.mask_id >= shape.n_vocab:
        raise CheckpointError(f"{config.path}: 'mask_token_id' is {shape.mask_id}, the vocabulary has {shape.n_vocab} "
                              "tokens")
    if shape.n_embd % shape.n_head != 0 or shape.n_embd_head % 2 != 0:
        raise CheckpointError(f"{config.path}: {shape.n_head} heads do not divide a width of {shape.n_embd} into heads of "
                              "even width, which rotary positions need")
    if shape.n_head % shape.n_head_kv != 0:
        raise CheckpointError(f"{config.path}: {shape.n_head_kv} KV heads do not divide {shape.n_head} heads")
    return shape


def expected_tensors(shape: Shape) -> list[Expected]:
    """Every tensor of the model, in the order in which the network uses them."""
    build = {"llada": llada_layer, "dream": dream_layer}[shape.arch]
    table = [(n, e) for n in range(shape.n_layer) for e in build(shape, n)]
    layers = [dataclasses.replace(e, gguf_name=f"blk.{n}.{e.gguf_name}") for n, e in table]
    top = {"llada": ("model.transformer.wte", "model.transformer.ln_f", "model.transformer.ff_out"),
           "dream": ("model.embed_tokens", "model.norm", "lm_head")}[shape.arch]
    embedding, norm, head = (f"{name}.weight" for name in top)
    matrix = (shape.n_vocab, shape.n_embd)
    return [Expected("token_embd.weight", embedding, matrix), *layers,
            Expected("output_norm.weight", norm, (shape.n_embd,)), Expected("output.weight", head, matrix)]


def llada_layer(shape: Shape, i_layer: int) -> list[Expected]:
    prefix = f"model.transformer.blocks.{i_layer}."
    n, n_kv = shape.n_embd, shape.n_head_kv * shape.n_embd_head
    # GGUF's llada rotates neighbouring pairs, the checkpoint the two halves of a head: so q and k change their order.
    return [
        Expected("attn_norm.weight", prefix + "attn_norm.weight", (n,)),
        Expected("attn_q.weight", prefix + "q_proj.weight", (n, n), shape.n_head),
        Expected("attn_k.weight", prefix + "k_proj.weight", (n_kv, n), shape.n_head_kv),
        Expected("attn_v.weight", prefix + "v_proj.weight", (n_kv, n)),
        Expected("attn_output.weight", prefix + "attn_out.weight", (n, n)),
        Expected("ffn_norm.weight", prefix + "ff_norm.weight", (n,)),
        Expected("ffn_gate.weight", prefix + "ff_proj.weight", (shape.n_ff, n)),
        Expected("ffn_up.weight", prefix + "up_proj.weight", (shape.n_ff, n)),
        Expected("ffn_down.weight", prefix + "ff_out.weight", (n, shape.n_ff)),
    ]


def dream_layer(shape: Shape, i_layer: int) -> list[Expected]:
    prefix = f"model.layers.{i_layer}."
    n, n_kv = shape.n_embd, shape.n_head_kv * shape.n_embd_head
    projections = [Expected(f"attn_{x}.{kind}", f"{prefix}self_attn.{x}_proj.{kind}", size)
                   for x, rows in (("q", n), ("k", n_kv), ("v", n_kv))
                   for kind, size in (("weight", (rows, n)), ("bias", (rows,)))]
    return [
        Expected("attn_norm.weight", prefix + "input_layernorm.weight", (n,)),
        *projections,
        Expected("attn_output.weight", prefix + "self_attn.o_proj.weight", (n, n)),
        Expected("ffn_norm.weight", prefix + "post_attention_layernorm.weight", (n,)),
        Expected("ffn_gate.weight", prefix + "mlp.gate_proj.weight", (shape.n_ff, n)),
        Expected("ffn_up.weight", prefix + "mlp.up_proj.weight", (shape.n_ff, n)),
        Expected("ffn_down.weight", prefix + "mlp.down_proj.weight", (n, shape.n_ff)),
    ]


def check_tensors(folder: pathlib.Path, wanted: list[Expected], found: dict) -> None:
    """Every tensor is there in its shape, and no other one: what is left out would silently change the model."""
    for tensor in wanted:
        if tensor.name not in found:
            raise CheckpointError(f"{folder}: tensor '{tensor.name}' is missing; download the checkpoint again")
        shape = found[tensor.name].shape
        if shape != tensor.shape:
            raise CheckpointError(f"{folder}: tensor '{tensor.name}' is {list(shape)}, config.json asks for "
                                  f"{list(tensor.shape)}; download the checkpoint again")
    # Tables of rotary frequencies follow from the sizes.
    unknown = sorted(n for n in found.keys() - {t.name for t in wanted} if not n.endswith("rotary_emb.inv_freq"))
    if unknown:
        raise CheckpointError(f"{folder}: tensor '{unknown[0]}' has no place in this architecture (one of {len(unknown)} "
                              "such tensors); the checkpoint is of another kind")
