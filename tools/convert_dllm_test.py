#!/usr/bin/env python3
"""Tests of convert_dllm.py on tiny random checkpoints made here. Skipped (77) without numpy and gguf."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

try:
    import gguf
    import numpy
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

import convert_dllm
import dllm_tiny
import dllm_vocabulary
import safetensors_file
from dllm_checkpoint import CheckpointError

N_EMBD, N_HALF = 64, 8  # of the tiny models; half a head


class ConvertDllm(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = pathlib.Path(temporary.name)
        self.out = self.root / "out.gguf"
        self.folders = {arch: self.root / arch for arch in ("llada", "dream")}
        for arch, folder in self.folders.items():
            dllm_tiny.write(folder, arch)

    def values(self, arch: str) -> dict[str, numpy.ndarray]:
        return {name: t.values() for name, t in safetensors_file.read_folder(self.folders[arch]).items()}

    def converted(self, arch: str, kind: str = "f32") -> gguf.GGUFReader:
        convert_dllm.convert(self.folders[arch], self.out, kind)
        return gguf.GGUFReader(self.out)

    def tensors(self, arch: str, kind: str = "f32") -> dict[str, numpy.ndarray]:
        found = {t.name: t for t in self.converted(arch, kind).tensors}
        return {name: gguf.quants.dequantize(t.data, t.tensor_type) for name, t in found.items()}

    def edit(self, arch: str, file: str, change) -> None:
        path = self.folders[arch] / file
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))

    def edit_tensors(self, arch: str, change) -> None:
        tensors = self.values(arch)
        change(tensors)
        safetensors_file.write(self.folders[arch] / "model.safetensors", tensors)

    def assert_refused(self, arch: str, *words: str, kind: str = "f32") -> None:
        with self.assertRaises((CheckpointError, safetensors_file.SafetensorsError)) as caught:
            convert_dllm.convert(self.folders[arch], self.out, kind)
        for word in words:
            self.assertIn(word, str(caught.exception))
        self.assertEqual(list(self.root.glob("out*")), [], "something was left behind")

    def test_llada_rows_of_q_and_k_are_interleaved(self):
        source, target = self.values("llada"), self.tensors("llada")
        for x in ("q", "k"):
            rows = source[f"model.transformer.blocks.1.{x}_proj.weight"]
            for head in range(4):
                for pair in range(N_HALF):
                    for half in range(2):
                        got = target[f"blk.1.attn_{x}.weight"][16 * head + 2 * pair + half]
                        numpy.testing.assert_array_equal(got, rows[16 * head + N_HALF * half + pair])

    def test_everything_else_keeps_its_order(self):
        pairs = {"llada": {"token_embd.weight": "model.transformer.wte.weight",
                           "output.weight": "model.transformer.ff_out.weight",
                           "output_norm.weight": "model.transformer.ln_f.weight",
                           "blk.1.attn_v.weight": "model.transformer.blocks.1.v_proj.weight",
                           "blk.1.attn_output.weight": "model.transformer.blocks.1.attn_out.weight",
                           "blk.0.attn_norm.weight": "model.transformer.blocks.0.attn_norm.weight",
                           "blk.0.ffn_norm.weight": "model.transformer.blocks.0.ff_norm.weight",
                           "blk.0.ffn_gate.weight": "model.transformer.blocks.0.ff_proj.weight",
                           "blk.0.ffn_up.weight": "model.transformer.blocks.0.up_proj.weight",
                           "blk.0.ffn_down.weight": "model.transformer.blocks.0.ff_out.weight"},
                 "dream": {"token_embd.weight": "model.embed_tokens.weight", "output.weight": "lm_head.weight",
                           "blk.1.attn_q.weight": "model.layers.1.self_attn.q_proj.weight",
                           "blk.1.attn_q.bias": "model.layers.1.self_attn.q_proj.bias",
                           "blk.1.attn_k.weight": "model.layers.1.self_attn.k_proj.weight",
                           "blk.1.attn_k.bias": "model.layers.1.self_attn.k_proj.bias",
                           "blk.1.attn_v.bias": "model.layers.1.self_attn.v_proj.bias",
                           "blk.1.ffn_norm.weight": "model.layers.1.post_attention_layernorm.weight",
                           "blk.1.ffn_down.weight": "model.layers.1.mlp.down_proj.weight"}}
        for arch, names in pairs.items():
            source, target = self.values(arch), self.tensors(arch)
            self.assertEqual(len(source), len(target))
            for name, origin in names.items():
                numpy.testing.assert_array_equal(target[name], source[origin], name)

    def test_metadata(self):
        wanted = {"llada": {"llada.rope.freq_base": 500000.0, "llada.attention.causal": False, "llada.block_count": 2,
                            "llada.embedding_length": 64, "llada.feed_forward_length": 160, "llada.context_length": 128,
                            "llada.attention.head_count": 4, "llada.attention.head_count_kv": 4,
                            "llada.rope.dimension_count": 16, "llada.vocab_size": 97, "diffusion.shift_logits": False,
                            "tokenizer.ggml.mask_token_id": 96, "tokenizer.ggml.eos_token_id": 95,
                            "tokenizer.ggml.add_bos_token": False, "tokenizer.ggml.model": "gpt2",
                            "tokenizer.ggml.pre": "gpt-2"},
                  "dream": {"dream.attention.head_count_kv": 2, "dream.attention.causal": False,
                            "diffusion.shift_logits": True, "tokenizer.ggml.mask_token_id": 0,
                            "tokenizer.ggml.bos_token_id": 2, "tokenizer.ggml.add_bos_token": False}}
        for arch, keys in wanted.items():
            fields = self.converted(arch).fields
            self.assertEqual({key: fields[key].contents() for key in keys}, keys)
        # Metadata holds F32: half a unit in the last place.
        self.assertAlmostEqual(fields["dream.attention.layer_norm_rms_epsilon"].contents(), 1e-6, delta=1e-6 * 2**-24)

    def test_vocabulary(self):
        fields = self.converted("llada").fields
        tokens = fields["tokenizer.ggml.tokens"].contents()
        types = fields["tokenizer.ggml.token_type"].contents()
        self.assertEqual((len(tokens), tokens[95:]), (97, ["<|endoftext|>", "<|mdm_mask|>"]))
        self.assertEqual(types, [1] * 95 + [3, 3])
        self.assertEqual(fields["tokenizer.ggml.merges"].contents(), ["h e"])

    def test_rows_behind_the_last_token_get_names(self):
        self.edit("llada", "config.json", lambda c: c.update(embedding_size=100))
        self.edit_tensors("llada", lambda t: t.update({f"model.transformer.{n}.weight": numpy.ones((100, 64), numpy.float32)
                                                       for n in ("wte", "ff_out")}))
        fields = self.converted("llada").fields
        self.assertEqual(fields["tokenizer.ggml.tokens"].contents()[96:], ["<|mdm_mask|>", "[PAD97]", "[PAD98]", "[PAD99]"])
        self.assertEqual(fields["tokenizer.ggml.token_type"].contents()[96:], [3, 5, 5, 5])

    def test_bos_of_llada_is_added(self):
        (self.folders["llada"] / "tokenizer_config.json").write_text(json.dumps({"bos_token": "he", "chat_template": "x"}))
        fields = self.converted("llada").fields
        self.assertTrue(fields["tokenizer.ggml.add_bos_token"].contents())
        self.assertEqual(fields["tokenizer.ggml.bos_token_id"].contents(), 94)
        self.assertEqual(fields["tokenizer.ggml.token_type"].contents()[94], 3)
        self.assertEqual(fields["tokenizer.chat_template"].contents(), "x")

    def test_a_chat_template_is_given(self):
        script = pathlib.Path(convert_dllm.__file__)
        own = {"chat_template": "the checkpoint's own"}
        (self.folders["llada"] / "tokenizer_config.json").write_text(json.dumps(own))
        template = self.root / "template.jinja"
        template.write_bytes("{{ messages[0]['content'] }}é\n".encode())
        command = [sys.executable, script, self.folders["llada"], self.out, "--chat-template", template]
        subprocess.run(command, capture_output=True, check=True)
        got = gguf.GGUFReader(self.out).fields["tokenizer.chat_template"].contents()
        self.assertEqual(got, "{{ messages[0]['content'] }}é\n")
        self.out.unlink()
        for data, word in ((b"caf\xe9", "utf-8"), (None, "template.jinja")):
            template.unlink() if data is None else template.write_bytes(data)
            done = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout, self.out.exists()), (1, "", False))
            self.assertIn(word, done.stderr)
            self.assertNotIn("Traceback", done.stderr)

    def test_a_canvas_is_given(self):
        self.assertNotIn("reprise.canvas_length", self.converted("llada").fields)
        convert_dllm.convert(self.folders["llada"], self.out, "f32", n_canvas=128)
        self.assertEqual(gguf.GGUFReader(self.out).fields["reprise.canvas_length"].contents(), 128)
        self.out.unlink()
        for n in (0, 129):
            with self.assertRaisesRegex(CheckpointError, f"canvas of {n} rows.* 128"):
                convert_dllm.convert(self.folders["llada"], self.out, "f32", n_canvas=n)
            self.assertEqual(list(self.root.glob("out*")), [])

    def test_dream_without_tokenizer_json(self):
        folder = self.folders["dream"]
        file = json.loads((folder / "tokenizer.json").read_text())
        vocab = {text: i for text, i in file["model"]["vocab"].items() if i > 2}
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.json").write_text(json.dumps(vocab))
        (folder / "merges.txt").write_text("#version: 0.2\nh e\n")
        added = {str(t["id"]): t for t in file["added_tokens"]}
        (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))
        fields = self.converted("dream").fields
        self.assertEqual(fields["tokenizer.ggml.pre"].contents(), "qwen2")
        self.assertEqual(fields["tokenizer.ggml.tokens"].contents()[:4], [*dllm_tiny.CONTROL["dream"], "!"])
        self.assertEqual(fields["tokenizer.ggml.merges"].contents(), ["h e"])

    def test_pre_tokenizers(self):
        byte_level = {"type": "ByteLevel", "add_prefix_space": False}
        qwen2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
                 r"|\s+(?!\S)|\s+")
        cases = [([{"type": "Digits", "individual_digits": True}, byte_level], "smollm"),
                 ([{"type": "Digits", "individual_digits": False}, byte_level], None),
                 ([{"type": "Split", "pattern": {"Regex": qwen2}}, byte_level], "qwen2"),
                 ([{"type": "Split", "pattern": {"Regex": qwen2.replace("N}|", "N}{1,3}|")}}, byte_level], "llama-bpe"),
                 ([{"type": "Split", "pattern": {"Regex": "x"}}, byte_level], None),
                 ([{"type": "Split", "pattern": {"String": "x"}}, byte_level], None)]
        for steps, name in cases:
            step = {"type": "Sequence", "pretokenizers": steps}
            self.assertEqual(dllm_vocabulary.pre_tokenizer_of(step), name, steps)
        self.assertEqual(dllm_vocabulary.pre_tokenizer_of(byte_level), "gpt-2")
        convert_dllm.convert(self.folders["llada"], self.out, "f16", pre_tokenizer="smollm")
        self.assertEqual(gguf.GGUFReader(self.out).fields["tokenizer.ggml.pre"].contents(), "smollm")

    def test_types(self):
        source = self.values("llada")["model.transformer.blocks.0.ff_out.weight"]
        largest = numpy.abs(source).reshape(64, 5, 32).max(2).repeat(32, axis=1)  # of the block of 32 around each value
        # A rounding is off by half a step: F16 and BF16 keep 11 and 8 bits, Q8_0 has 127 steps a side and Q4_0 8, whose last
        # one on one side is missing; both quantised types round their scale to F16.
        bounds = {"f16": numpy.abs(source) * 2**-11, "bf16": numpy.abs(source) * 2**-8,
                  "q8_0": largest * (0.5 / 127 + 2**-11), "q4_0": largest * (1 / 8 + 2**-11)}
        for kind, bound in bounds.items():
            reader = self.converted("llada", kind)
            for tensor in reader.tensors:
                self.assertEqual(tensor.tensor_type.name, "F32" if "norm" in tensor.name else kind.upper(), tensor.name)
            got = self.tensors("llada", kind)["blk.0.ffn_down.weight"]
            # 2^-24: the smallest F16 that is not zero.
            self.assertTrue((numpy.abs(got - source) <= bound + 2**-24).all(), kind)
            self.assertTrue((got != source).any(), kind)

    def test_bf16_is_read(self):
        values = numpy.array([[1.5, -2.25], [numpy.float32(2**-120), 3e38]], numpy.float32)
        upper = (values.view(numpy.uint32) >> 16).astype("<u2")
        head = json.dumps({"a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
        (self.root / "a.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + upper.tobytes())
        got = safetensors_file.read_folder(self.root)["a"].values()
        numpy.testing.assert_array_equal(got, (upper.astype(numpy.uint32) << 16).view(numpy.float32))
        self.assertEqual(got[0].tolist(), [1.5, -2.25])

    def test_several_files(self):
        whole = self.tensors("llada")
        tensors = self.values("llada")
        names = sorted(tensors)
        (self.folders["llada"] / "model.safetensors").unlink()
        for i in range(2):
            safetensors_file.write(self.folders["llada"] / f"model-{i}.safetensors", {n: tensors[n] for n in names[i::2]})
        for name, values in self.tensors("llada").items():
            numpy.testing.assert_array_equal(values, whole[name])
        safetensors_file.write(self.folders["llada"] / "again.safetensors", {names[0]: tensors[names[0]]})
        self.out.unlink()
        self.assert_refused("llada", names[0], "again.safetensors")

    def test_refuses_configurations(self):
        cases = [("llada", "block_type", "sequential"), ("llada", "block_type", None), ("llada", "alibi", True),
                 ("llada", "rope", False), ("llada", "layer_norm_type", "low_precision"),
                 ("llada", "activation_type", "swiglu"), ("llada", "include_bias", True), ("llada", "weight_tying", True),
                 ("llada", "attention_layer_norm", True), ("llada", "input_emb_norm", True),
                 ("llada", "scale_logits", True), ("llada", "block_group_size", 4), ("llada", "is_causal", True),
                 ("llada", "mask_token_id", None), ("llada", "mask_token_id", 97), ("llada", "mask_token_id", -1),
                 ("llada", "mask_token_id", 95), ("llada", "n_heads", 5), ("llada", "n_kv_heads", 3),
                 ("llada", "d_model", "64"), ("llada", "n_layers", 0), ("llada", "rope_theta", 0),
                 ("llada", "rms_norm_eps", None), ("llada", "architectures", ["LLaDAMoEModelLM"]),
                 ("llada", "architectures", None), ("dream", "tie_word_embeddings", True), ("dream", "is_causal", True),
                 ("dream", "use_sliding_window", True), ("dream", "hidden_act", "gelu"),
                 ("dream", "rope_scaling", {"type": "yarn"}), ("dream", "mask_token_id", None)]
        for arch, key, value in cases:
            with self.subTest(arch=arch, key=key, value=value):
                dllm_tiny.write(self.folders[arch], arch)
                self.edit(arch, "config.json", lambda c: c.update({key: value}))
                named = {"n_heads": "5 heads", "n_kv_heads": "3 KV heads", "architectures": "architecture"}
                end_is_mask = key == "mask_token_id" and value == 95
                self.assert_refused(arch, "config.json", "token 95" if end_is_mask else named.get(key, key))

    def test_refuses_tensors(self):
        name = "model.transformer.blocks.1.ff_out.weight"
        changes = [(lambda t: t.pop(name), ["missing"]), (lambda t: t.update({name: t[name].T}), ["[160, 64]", "[64, 160]"]),
                   (lambda t: t.update({name[:-6] + "bias": t[name][0]}), ["no place"]),
                   (lambda t: t[name].__setitem__((3, 4), numpy.nan), ["finite"]),
                   (lambda t: t[name].__setitem__((3, 4), numpy.inf), ["finite"])]
        for change, words in changes:
            dllm_tiny.write(self.folders["llada"], "llada")
            self.edit_tensors("llada", change)
            self.assert_refused("llada", "blocks.1.ff_out", *words)

    def test_refuses_values_beyond_f16(self):
        self.edit_tensors("llada", lambda t: t["model.transformer.wte.weight"].__setitem__((3, 4), 65505 * 2))
        self.assert_refused("llada", "wte.weight", "bf16", kind="f16")

    def test_refuses_rows_that_are_no_blocks(self):
        self.edit("llada", "config.json", lambda c: c.update(mlp_hidden_size=144))
        self.edit_tensors("llada", lambda t: t.update(
            {n: v[:144] if v.shape[0] == 160 else v[:, :144] for n, v in t.items() if 160 in v.shape}))
        self.assert_refused("llada", "ff_out.weight", "144", "f16", kind="q8_0")

    def test_refuses_tokenizers(self):
        changes = [(lambda t: t["model"].update(type="Unigram"), "Unigram"),
                   (lambda t: t.update(decoder={"type": "Metaspace"}), "byte-level"),
                   (lambda t: t.update(pre_tokenizer={"type": "Whitespace"}), "--pre-tokenizer"),
                   (lambda t: t["model"]["vocab"].update(more=97), "97 rows"),
                   (lambda t: t["added_tokens"][0].update(content="he"), "both 'he'"),
                   (lambda t: (t["added_tokens"].pop(), t["model"]["vocab"].pop("<|mdm_mask|>")), "no token 96")]
        for change, word in changes:
            dllm_tiny.write(self.folders["llada"], "llada")
            self.edit("llada", "tokenizer.json", change)
            self.assert_refused("llada", word)
        (self.folders["llada"] / "tokenizer.json").unlink()
        self.assert_refused("llada", "merges.txt")

    def test_refuses_broken_files(self):
        path = self.folders["llada"] / "model.safetensors"
        whole = path.read_bytes()
        for n in (0, 7, 8, 100, len(whole) - 4):
            path.write_bytes(whole[:n])
            self.assert_refused("llada", "model.safetensors")
        entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
        for change in ({"dtype": "I64"}, {"shape": [-1, -2]}, {"shape": 2}, {"shape": [3]}, {"data_offsets": [0]},
                       {"data_offsets": [8, 16]}, {"data_offsets": [8, 0]}):
            head = json.dumps({"a": entry | change}).encode()
            path.write_bytes(len(head).to_bytes(8, "little") + head + bytes(8))
            self.assert_refused("llada", "'a'")

    def test_program(self):
        script = pathlib.Path(convert_dllm.__file__)
        done = subprocess.run([sys.executable, script, self.folders["dream"], self.out], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, f"{self.out}: {self.out.stat().st_size} bytes\n")
        done = subprocess.run([sys.executable, script, self.root, self.out], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("config.json", done.stderr)
        self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main()
