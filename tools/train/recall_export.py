#!/usr/bin/env python3
"""Writes a checkpoint of the recall model as GGUF: matrices in F16, norms in F32, and the vocabulary of recall_vocab.

Usage: recall_export.py CHECKPOINT OUT.gguf
Needs PyTorch and the PyPI package gguf 0.19.0 (wheel sha256
70bcd10edfe697fb2dad6e40af2234b9d8ece9a41a99761405121ebda1c3c1cd).
"""

import argparse
import pathlib
import sys

import gguf
import numpy
import torch

import recall_vocab
from recall_model import RecallModel, Shape

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from whole_file import whole_file

DESCRIPTION = ("Answers ?key= with the value of the record key=value; in its context. "
               "Made to measure what KV-cache policies forget; it knows no language.")


def load(checkpoint: pathlib.Path) -> RecallModel:
    model = RecallModel(Shape(n_vocab=len(recall_vocab.tokens())))
    model.load_state_dict(torch.load(checkpoint, map_location="cpu"))
    return model.eval()


def add_description(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name("Reprise recall")
    writer.add_description(DESCRIPTION)
    writer.add_license("MIT")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(shape.n_ctx)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layer)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_head_count(shape.n_head)
    writer.add_head_count_kv(shape.n_head_kv)
    writer.add_rope_dimension_count(shape.n_embd_head)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_vocab_size(shape.n_vocab)


def add_vocabulary(writer: gguf.GGUFWriter) -> None:
    tokens = recall_vocab.tokens()
    control = {recall_vocab.BOS, recall_vocab.END}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in control else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges([f"{left} {right}" for left, right in recall_vocab.merges()])
    writer.add_bos_token_id(tokens.index(recall_vocab.BOS))
    writer.add_eos_token_id(tokens.index(recall_vocab.END))
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)


def export(model: RecallModel, path: pathlib.Path) -> None:
    with whole_file(path) as part:
        writer = gguf.GGUFWriter(part, "llama")
        add_description(writer, model.shape)
        add_vocabulary(writer)
        for name, weight in model.state_dict().items():
            is_matrix = weight.dim() == 2
            writer.add_tensor(name, weight.numpy().astype(numpy.float16 if is_matrix else numpy.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    export(load(args.checkpoint), args.out)
    print(f"{args.out}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
