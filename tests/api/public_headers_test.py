#!/usr/bin/env python3
"""The public headers compile alone, without a warning, and need nothing but the standard library.

REPRISE_CXX names the compiler; CMake sets it.
"""

import os
import pathlib
import re
import subprocess
import unittest

INCLUDE = pathlib.Path(__file__).parents[2] / "include"
HEADERS = sorted(path.relative_to(INCLUDE).as_posix() for path in (INCLUDE / "reprise").glob("*.h"))
STANDARD = re.compile(r"<[a-z_]+>")  # <string>, and not <fmt/format.h> or <unistd.h>


class PublicHeaders(unittest.TestCase):
    def test_there_are_few(self):
        self.assertIn("reprise/generate.h", HEADERS)
        self.assertLessEqual(len(HEADERS), 10)

    def test_each_compiles_alone(self):
        for header in HEADERS:
            with self.subTest(header):
                done = subprocess.run(
                    [os.environ["REPRISE_CXX"], "-std=c++20", "-Wall", "-Wextra", "-pedantic", "-Werror",
                     "-fsyntax-only", "-I", str(INCLUDE), "-x", "c++", "-"],
                    input=f'#include "{header}"\n#include "{header}"\n', capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_none_includes_anything_foreign(self):
        for header in HEADERS:
            for target in re.findall(r"^\s*#\s*include\s*(\S+)", (INCLUDE / header).read_text(), re.MULTILINE):
                with self.subTest(f"{header} includes {target}"):
                    self.assertTrue(STANDARD.fullmatch(target) or target.strip('"') in HEADERS)


if __name__ == "__main__":
    unittest.main()
