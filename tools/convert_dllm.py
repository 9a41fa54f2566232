#!/usr/bin/env python3
"""Converts a diffusion language model (LLaDA, LLaDA-1.5, Dream) from safetensors to GGUF.

    convert_dllm.py CHECKPOINT OUT.gguf [--type q8_0] [--pre-tokenizer NAME] [--chat-template FILE] [--canvas N] [--name TEXT]

CHECKPOINT is a folder with config.json, tokenizer.json (or vocab.json and merges.txt) and one or more *.safetensors (F32,
F16 or BF16). The file has the names, keys and row order of llama.cpp's own converter, so that both programs read it, and
besides them the mask token and `diffusion.shift_logits` of both families. Tensors are converted one by one: memory for the
largest is enough.

    python3 -m venv .venv && .venv/bin/pip install numpy gguf==0.19.0
    .venv/bin/python tools/convert_dllm.py LLaDA-8B-Instruct llada-8b.gguf --type q8_0
    .venv/bin/python tools/convert_dllm.py Dream-v0-Instruct-7B dream-7b.gguf --type q4_0

Refused, with the reason: configurations with other blocks, norms, activations, positions or biases than these models have,
tied embeddings, causal attention, missing or misshapen tensors, a missing mask token, a tokenizer that is not byte-level
BPE or larger than the embedding, values that are no finite numbers.
"""

import argparse
import dataclasses
import math
import pathlib
import sys

try:
    import gguf
    import numpy
except ImportError as missing:
    sys.exit(f"{__doc__}\nerror: {missing}; python3 -m venv .venv && .venv/bin/pip install numpy gguf==0.19.0")

import dllm_checkpoint
import dllm_vocabulary
import safetensors_file
from dllm_checkpoint import CheckpointError, Expected, Shape
from dllm_vocabulary import Vocabulary
from whole_file import whole_file

TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "bf16": (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}


def interleave(weight: numpy.ndarray, n_head: int) -> numpy.ndarray:
    """Per head, rows (0 .. n/2 | n/2 .. n) become pairs 0, n/2, 1, n/2 + 1, ... weight: [n_head * n, columns]."""
    halves = weight.reshape(n_head, 2, weight.shape[0] // n_head // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def type_of(tensor: Expected, wanted: gguf.GGMLQuantizationType) -> gguf.GGMLQuantizationType:
    """Norms and biases stay in F32: they are small, and everything is compared with what they scale."""
    if len(tensor.shape) == 1:
        return gguf.GGMLQuantizationType.F32
    n_block = gguf.GGML_QUANT_SIZES[wanted][0]
    if tensor.shape[-1] % n_block != 0:
        raise CheckpointError(f"tensor '{tensor.name}': rows of {tensor.shape[-1]} values cannot be {wanted.name}, which has "
                              f"blocks of {n_block}; choose --type f16")
    return wanted


def n_bytes(tensor: Expected, kind: gguf.GGMLQuantizationType) -> int:
    n_block, n_block_bytes = gguf.GGML_QUANT_SIZES[kind]
    return math.prod(tensor.shape) // n_block * n_block_bytes


def encoded(tensor: Expected, values: numpy.ndarray, kind: gguf.GGMLQuantizationType) -> numpy.ndarray:
    """values: F32 [tensor.shape]."""
    if not numpy.isfinite(values).all():
        raise CheckpointError(f"tensor '{tensor.name}' holds values that are no finite numbers; download the checkpoint again")
    if tensor.n_head_interleaved > 0:
        values = interleave(values, tensor.n_head_interleaved)
    if kind == gguf.GGMLQuantizationType.F16 and numpy.abs(values).max() > numpy.finfo(numpy.float16).max:
        raise CheckpointError(f"tensor '{tensor.name}' has values beyond F16 (65504); choose --type bf16")
    return gguf.quants.quantize(numpy.ascontiguousarray(values), kind)


def add_description(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_vocab_size(shape.n_vocab)
    writer.add_context_length(shape.n_ctx)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layer)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_head_count(shape.n_head)
    writer.add_head_count_kv(shape.n_head_kv)
    writer.add_rope_dimension_count(shape.n_embd_head)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_causal_attention(False)
    writer.add_diffusion_shift_logits(shape.has_shifted_logits)


def add_vocabulary(writer: gguf.GGUFWriter, shape: Shape, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre_tokenizer)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    if vocabulary.bos_id is not None:
        writer.add_bos_token_id(vocabulary.bos_id)
    if vocabulary.eos_id is not None:
        writer.add_eos_token_id(vocabulary.eos_id)
    writer.add_mask_token_id(shape.mask_id)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_eos_token(False)
    if vocabulary.chat_template is not None:
        writer.add_chat_template(vocabulary.chat_template)


def convert(folder: pathlib.Path, out: pathlib.Path, kind: str, pre_tokenizer: str | None = None,
            about: dict[str, str] | None = None, chat_template: str | None = None, n_canvas: int | None = None) -> None:
    """Writes out, complete or absent. about: name, description, licence; chat_template: Jinja text instead of the
    checkpoint's own; n_canvas: rows that training padded every text to. Throws CheckpointError, SafetensorsError."""
    config = dllm_checkpoint.Config(folder / "config.json")
    shape = dllm_checkpoint.read_shape(config)
    vocabulary = dllm_vocabulary.read_vocabulary(config, shape.arch, shape.n_vocab, shape.mask_id, pre_tokenizer)
    if chat_template is not None:
        vocabulary = dataclasses.replace(vocabulary, chat_template=chat_template)
    if n_canvas is not None and not 1 <= n_canvas <= shape.n_ctx:
        raise CheckpointError(f"a canvas of {n_canvas} rows: the model's context is {shape.n_ctx}")
    wanted = dllm_checkpoint.expected_tensors(shape)
    found = safetensors_file.read_folder(folder)
    dllm_checkpoint.check_tensors(folder, wanted, found)
    matrix_type, file_type = TYPES[kind]
    types = [type_of(tensor, matrix_type) for tensor in wanted]

    with whole_file(out) as part:
        writer = gguf.GGUFWriter(part, shape.arch)
        try:
            add_about = {"name": writer.add_name, "description": writer.add_description, "licence": writer.add_license}
            for key, text in (about or {}).items():
                add_about[key](text)
            writer.add_file_type(file_type)
            writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
            add_description(writer, shape)
            add_vocabulary(writer, shape, vocabulary)
            if n_canvas is not None:
                writer.add_uint32("reprise.canvas_length", n_canvas)
            for tensor, tensor_type in zip(wanted, types):
                writer.add_tensor_info(tensor.gguf_name, tensor.shape, numpy.dtype(numpy.float32), n_bytes(tensor, tensor_type),
                                       tensor_type)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            for tensor, tensor_type in zip(wanted, types):
                writer.write_tensor_data(encoded(tensor, found[tensor.name].values(), tensor_type))
        finally:
            writer.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=pathlib.Path, metavar="CHECKPOINT", help="folder of the checkpoint")
    parser.add_argument("out", type=pathlib.Path, metavar="OUT.gguf")
    parser.add_argument("--type", choices=TYPES, default="q8_0",
                        help="type of the matrices; norms and biases are always F32 (default: %(default)s)")
    parser.add_argument("--pre-tokenizer", metavar="NAME", help="how text is cut before BPE, by llama.cpp's name "
                        "(default: found out from tokenizer.json; qwen2 for Dream without one)")
    parser.add_argument("--chat-template", metavar="FILE", type=pathlib.Path, help="Jinja template that turns messages into a "
                        "prompt (default: the checkpoint's own, if it has one)")
    parser.add_argument("--canvas", type=int, metavar="N", help="rows that every text was padded to with end tokens in "
                        "training, if all were padded to the same; Reprise then does it too")
    parser.add_argument("--name", help="the model's name, for the file's metadata")
    parser.add_argument("--description", help="one sentence, for the file's metadata")
    parser.add_argument("--licence", help="SPDX name, for the file's metadata")
    args = parser.parse_args()
    about = {key: getattr(args, key) for key in ("name", "description", "licence") if getattr(args, key) is not None}
    try:
        chat_template = args.chat_template.read_text(encoding="utf-8") if args.chat_template is not None else None
        convert(args.checkpoint, args.out, args.type, args.pre_tokenizer, about, chat_template, args.canvas)
    except (CheckpointError, safetensors_file.SafetensorsError, OSError, UnicodeDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{args.out}: {args.out.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
