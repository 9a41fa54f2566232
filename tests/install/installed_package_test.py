#!/usr/bin/env python3
"""Installs the build into an empty folder and uses what is there as a stranger would.

REPRISE_BUILD, REPRISE_CMAKE, REPRISE_CXX and REPRISE_WRITE_TINY_MODEL name the build folder and the programs; CMake
sets them.
"""

import os
import pathlib
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).parents[2]
CMAKE = os.environ["REPRISE_CMAKE"]


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


class InstalledPackage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.root = pathlib.Path(cls.folder.name)
        cls.prefix = cls.root / "prefix"
        run(CMAKE, "--install", os.environ["REPRISE_BUILD"], "--prefix", cls.prefix)
        cls.model = cls.root / "tiny.gguf"
        run(os.environ["REPRISE_WRITE_TINY_MODEL"], cls.model)

    def installed(self):
        return {path.relative_to(self.prefix).as_posix() for path in self.prefix.rglob("*") if path.is_file()}

    def test_holds_what_a_user_needs(self):
        self.assertLessEqual(
            {"bin/reprise", "share/man/man1/reprise.1", "share/bash-completion/completions/reprise",
             "share/reprise/pull_model.py", "share/reprise/pip_download.py", "share/reprise/models/recall/recall.gguf",
             "share/reprise/models/dllm/dllm-demo.Q8_0.gguf", "include/reprise/generate.h"}, self.installed())

    def test_holds_nothing_of_others(self):
        for name in self.installed():
            self.assertIn("reprise", name)  # no header, archive or package outside a folder of our own

    def test_the_program_runs_from_there(self):
        out = run(self.prefix / "bin" / "reprise", "run", self.model, "-q", "-p", "hello", "--max-tokens", "8")
        self.assertEqual(len(out), 9)
        for name in ("recall", "dllm-demo"):
            self.assertRegex(run(self.prefix / "bin" / "reprise", "list"), rf"(?m)^{name} .* installed ")

    @unittest.skipUnless((pathlib.Path(os.environ["REPRISE_BUILD"]) / "reprise_video.so").exists(), "built without media")
    def test_the_program_finds_its_video_module(self):
        video = self.root / "a.mp4"
        run(self.prefix / "bin" / "reprise", "control", "pusht-demo", "--seeds", "1", "--steps", "8", "--sampler",
            "ddim:steps=2", "--video", video)
        self.assertGreater(video.stat().st_size, 1000)

    def test_a_strangers_program_builds_and_runs(self):
        build = self.root / "examples"
        run(CMAKE, "-S", SOURCE / "examples", "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DCMAKE_CXX_COMPILER={os.environ['REPRISE_CXX']}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -pedantic -Werror")
        run(CMAKE, "--build", build)
        out = run(build / "hello", self.model, SOURCE / "LICENSE")
        self.assertRegex(out, r"tiny: read \d+ tokens in [\d.e-]+ s, kept 564 KV entries, dropped \d{4}\n$")
        wrong = subprocess.run([build / "hello", SOURCE / "LICENSE"], capture_output=True, text=True, timeout=60)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("is no GGUF file", wrong.stderr)

    def test_another_minor_version_is_refused(self):
        project = self.root / "later"
        project.mkdir()
        (project / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(later LANGUAGES CXX)\nfind_package(reprise 0.99 REQUIRED)\n")
        with self.assertRaisesRegex(AssertionError, "0.99"):
            run(CMAKE, "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={self.prefix}")


if __name__ == "__main__":
    unittest.main()
