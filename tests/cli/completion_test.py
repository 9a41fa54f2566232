#!/usr/bin/env python3
"""What tools/completion.bash offers. REPRISE_PROGRAM names the program; CMake sets it."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest
import unittest.mock

SCRIPT = pathlib.Path(__file__).parents[2] / "tools" / "completion.bash"
PROGRAM = os.environ["REPRISE_PROGRAM"]
# Stands for verbs that need models and a network to say something of their own.
FAKE = """
fake() {
  case "$*" in
    --help) printf 'Usage: fake\\n\\nSubcommands:\\n  eval   judge\\n  pull   fetch\\n  run   answer\\n\\n' ;;
    "eval --help") printf 'Usage: fake eval\\n\\nSubcommands:\\n  ppl   a\\n  recall   b\\n\\n' ;;
    "eval ppl --help" | "run --help")
      printf 'Positionals:\\n  model TEXT\\n\\nOptions:\\n  --kv TEXT=full   entries\\n  --step TEXT   steps\\n' ;;
    policies) printf 'name      summary\\nkv/cake   kv/full is the other\\nkv/full   all\\nstep/uniform   some\\n' ;;
    "pull --help") printf 'Positionals:\\n  name TEXT\\n' ;;
    "list --json")
      printf '{"models": [\\n  "name": "smollm2",\\n  "name": "recall",\\n"to_pull": [\\n  "name": "gemma3-270m",\\n' ;;
  esac
}
"""


def offers(words, program=PROGRAM):
    """The completions of the last word."""
    script = f"""{FAKE}
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_reprise
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script, "bash", str(SCRIPT), program, *words],
                          capture_output=True, text=True, timeout=60)
    assert done.stderr == "", done.stderr
    return done.stdout.split()


class Completion(unittest.TestCase):
    def test_offers_every_verb(self):
        help_text = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
        verbs = re.findall(r"^  ([a-z]+) ", help_text.split("Subcommands:")[1], re.MULTILINE)
        self.assertIn("chat", verbs)
        self.assertEqual(offers([""]), verbs)
        self.assertEqual(offers(["-q", "cha"]), ["chat"])

    def test_offers_the_flags_of_a_verb(self):
        self.assertEqual(offers(["chat", "--max"]), ["--max-tokens"])
        self.assertEqual(offers(["run", "m", "--inf"]), ["--infill"])
        self.assertIn("-p", offers(["run", "model", "-"]))
        self.assertIn("--prompt", offers(["run", "model", "--p"]))
        self.assertIn("--quiet", offers(["run", "--q"]))  # one of every verb
        self.assertIn("--version", offers(["--"]))
        self.assertNotIn("--kv", offers(["--"]))

    def test_offers_the_choices_of_a_flag(self):
        self.assertEqual(offers(["chat", "m", "--ledger", ""]), ["off", "line", "table", "json"])
        self.assertEqual(offers(["run", "m", "--compress-after", "d"]), ["document"])
        self.assertEqual(offers(["run", "m", "--weights", "expand"]), ["expand=f32", "expand=f16", "expand=q8_0"])
        # As bash splits them:
        self.assertEqual(offers(["run", "m", "--weights", "expand", "="]), ["f32", "f16", "q8_0"])
        self.assertEqual(offers(["run", "m", "--weights", "expand", "=", "q"]), ["q8_0"])
        self.assertEqual(offers(["run", "m", "--weights", "=", "expand", "=", "f1"]), ["f16"])

    def test_offers_policies_of_the_flags_kind(self):
        self.assertEqual(offers(["run", "m", "--kv", ""], "fake"), ["cake", "full"])
        self.assertEqual(offers(["run", "m", "--step", "u"], "fake"), ["uniform"])
        # As bash splits them:
        self.assertEqual(offers(["run", "m", "--kv", "="], "fake"), ["cake", "full"])
        self.assertEqual(offers(["run", "m", "--kv", "=", "c"], "fake"), ["cake"])
        self.assertEqual(offers(["run", "m", "--kv", "cake", ":", "b"], "fake"), [])

    def test_offers_models_after_nested_verbs(self):
        self.assertEqual(offers(["run", ""], "fake"), ["smollm2", "recall"])
        self.assertEqual(offers(["eval", ""], "fake"), ["ppl", "recall"])
        self.assertEqual(offers(["eval", "recall", ""], "fake"), [])
        self.assertEqual(offers(["eval", "ppl", "s"], "fake"), ["smollm2"])

    def test_offers_models_to_pull(self):
        self.assertEqual(offers(["pull", ""], "fake"), ["gemma3-270m"])
        self.assertEqual(offers(["run", "gem"], "fake"), [])

    def test_offers_the_models_that_the_program_lists(self):
        with tempfile.TemporaryDirectory() as folder, unittest.mock.patch.dict(os.environ, XDG_DATA_HOME=folder):
            self.assertEqual(offers(["info", "rec"]), ["recall"])
            self.assertEqual(offers(["pull", "s"]), ["smollm2"])

    def test_offers_the_policies_that_the_program_has(self):
        self.assertIn("cake", offers(["run", "m", "--kv", ""]))
        self.assertIn("adablock", offers(["run", "m", "--span", ""]))
        self.assertEqual(offers(["run", "m", "--refresh", "d"]), ["dual"])
        self.assertIn("kv/cake", offers(["policies", ""]))
        self.assertIn("branch/bac", offers(["policies", "branch/b"]))

    def test_leaves_files_to_bash(self):
        self.assertEqual(offers(["run", "m", "--system", ""]), [])
        self.assertEqual(offers([""], "no_such_program"), [])


if __name__ == "__main__":
    unittest.main()
