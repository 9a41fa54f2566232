#!/usr/bin/env python3
"""The man page names every verb of the program and every flag of run, chat and control. REPRISE_PROGRAM names it; CMake sets it."""

import os
import pathlib
import re
import subprocess
import unittest

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "reprise.1"


class ManPage(unittest.TestCase):
    def test_names_every_verb(self):
        help_text = subprocess.run(
            [os.environ["REPRISE_PROGRAM"], "--help"], capture_output=True, text=True, check=True).stdout
        verbs = re.findall(r"^  ([a-z]+) ", help_text.split("Subcommands:")[1], re.MULTILINE)
        self.assertIn("run", verbs)
        page = PAGE.read_text()
        for verb in verbs:
            self.assertRegex(page, rf"(?m)^\.It Cm {verb}\b")

    def test_names_every_flag(self):
        page = PAGE.read_text()
        for verb, one in [("run", "kv"), ("chat", "kv"), ("control", "branch")]:
            help_text = subprocess.run(
                [os.environ["REPRISE_PROGRAM"], verb, "--help"], capture_output=True, text=True, check=True).stdout
            flags = set(re.findall(r"^  (?:-\w,)?--([a-z-]+)", help_text, re.MULTILINE)) - {"help"}
            self.assertIn(one, flags)
            for flag in flags:
                self.assertRegex(page, rf"Fl -{flag}\b")

    def test_names_the_files(self):
        for path in ["reprise/models", "reprise/history"]:
            self.assertIn(path, PAGE.read_text())


if __name__ == "__main__":
    unittest.main()
