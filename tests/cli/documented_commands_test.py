#!/usr/bin/env python3
"""Every command line in README, docs, CONTRIBUTING, the man page and the program's own help is one that the program takes.

The program is copied out of its build folder, where it finds no model: it checks its command line first (exit code 2)
and fails at the model then (1). What needs no model is stopped after a while. REPRISE_PROGRAM names it; CMake sets it.
"""

import itertools
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
USAGE_ERROR = 2
LONGEST_S = 3  # far longer than a command line takes to be refused


def code_pieces(markdown: str):
    """Inline code, and the lines of indented and fenced blocks."""
    is_fenced = False
    for line in markdown.splitlines():
        if line.startswith("```"):
            is_fenced = not is_fenced
        elif is_fenced or line.startswith("    "):
            yield line.strip()
        else:
            yield from re.findall(r"`([^`]+)`", line)


def command_lines(code: str):
    """The arguments of each `reprise ...` in a line for the shell."""
    lexer = shlex.shlex(re.sub(r"\$\w+", "16", code), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # no line for the shell: a quote that does not end
        return
    for is_operator, group in itertools.groupby(words, lambda word: set(word) <= set("();<>|&")):
        command = list(itertools.dropwhile(lambda word: word == "do", group))
        if not is_operator and command and re.fullmatch(r"(build[\w-]*/)?reprise", command[0]):
            yield command[1:]


class DocumentedCommands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.home = pathlib.Path(temporary.name)
        cls.program = cls.home / "reprise"
        shutil.copy2(os.environ["REPRISE_PROGRAM"], cls.program)

    def result(self, arguments, longest_s=LONGEST_S):
        """Exit code, None for one that was stopped, and the last line of its errors."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
        try:
            done = subprocess.run([self.program, *arguments], cwd=self.home, env=environment | {"HOME": str(self.home)},
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  text=True, timeout=longest_s, check=False)
        except subprocess.TimeoutExpired:
            return None, ""
        return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]

    def help_text(self, *verbs):
        done = subprocess.run([self.program, *verbs, "--help"], capture_output=True, text=True, check=True)
        return done.stdout

    def verbs(self, *above):
        """Every verb with those below it: ("bench",), ("bench", "kv"), ..."""
        listed = self.help_text(*above).partition("Subcommands:\n")[2].partition("\n\n")[0]
        for verb in re.findall(r"^  ([a-z]+) ", listed, re.MULTILINE):
            yield (*above, verb)
            yield from self.verbs(*above, verb)

    def check(self, where: str, found, verbs):
        for arguments in found:
            if tuple(arguments) in verbs:  # a verb's name in a sentence
                continue
            for i, word in enumerate(arguments[:-1]):
                if word in {"-f", "--file"} and re.fullmatch(r"\w[\w./-]*", arguments[i + 1]):
                    file = self.home / arguments[i + 1]
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text("A text.\n")
            code, error = self.result(arguments)
            with self.subTest(where=where, command=shlex.join(["reprise", *arguments])):
                self.assertIn(code, {0, 1, None}, error)

    def test_documents(self):
        verbs = set(self.verbs())
        self.assertIn(("eval", "recall"), verbs)
        n_found = 0
        for document in DOCUMENTS:
            found = [line for code in code_pieces(document.read_text()) for line in command_lines(code)]
            n_found += len(found)
            self.check(document.name, found, verbs)
        self.assertGreater(n_found, 40)

    def test_help(self):
        verbs = set(self.verbs())
        n_found = 0
        for verb in sorted(verbs):
            lines = re.findall(r"^ +(reprise .*)$", self.help_text(*verb), re.MULTILINE)
            found = [arguments for line in lines for arguments in command_lines(line) if arguments[:1] == [verb[0]]]
            n_found += len(found)
            self.check(f"reprise {' '.join(verb)} --help", found, verbs)
        self.assertGreater(n_found, 10)

    def test_man_page(self):
        page = (ROOT / "docs" / "reprise.1").read_text().replace(r"\(dq", '"')
        found = [line for code in re.findall(r"^\.Dl (.*)$", page, re.MULTILINE) for line in command_lines(code)]
        self.assertGreater(len(found), 3)
        self.check("reprise.1", found, set(self.verbs()))

    def test_names_make_targets_that_are_there(self):
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        for document in DOCUMENTS:
            for code in code_pieces(document.read_text()):
                for target in re.findall(r"^make ([a-z-]+)", code):
                    self.assertIn(target, targets, f"{document.name}: {code}")

    def test_a_wrong_command_line_fails(self):
        for arguments in ["run smollm2 -p x --no-such-flag", "eval recall --grid 2x2", "bench kv --contexts many",
                          "run smollm2 -p x --kv cake:budjet=64", "control pusht-demo --branch bac:update=3",
                          "no-such-verb"]:
            code, _ = self.result(arguments.split(), longest_s=60)
            self.assertEqual(code, USAGE_ERROR, arguments)

    def test_finds_command_lines(self):
        text = ("Run `reprise a -b`, `build/reprise c | less` or `make x`; `reprise` alone is a name.\n\n"
                "    for b in 1 2; do reprise d --n $b \"e f\" > out; done\n    reprise g    # why\n")
        found = [line for code in code_pieces(text) for line in command_lines(code)]
        self.assertEqual(found, [["a", "-b"], ["c"], [], ["d", "--n", "16", "e f"], ["g"]])


if __name__ == "__main__":
    unittest.main()
