#!/usr/bin/env python3
"""Tests of pip_download.py and fetch_llama_cpp.sh against a package index of this machine; no network is used."""

import hashlib
import http.server
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import unittest

SCRIPT = pathlib.Path(__file__).with_name("pip_download.py")
FETCH = pathlib.Path(__file__).with_name("fetch_llama_cpp.sh")
WHEEL = "fake_data-1.0-py3-none-any.whl"
CONTENT = bytes(i * 7919 % 251 for i in range(3 << 20))


class Index(http.server.BaseHTTPRequestHandler):
    """One page, and one file of which a request gives no more than `n_most` bytes."""

    protocol_version = "HTTP/1.1"
    n_most = len(CONTENT)
    has_ranges = True
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    first_bytes: list[int] = []  # of the requests for the file

    def do_GET(self):  # noqa: N802, the name that http.server calls
        if not self.path.endswith(".whl"):
            page = f'<html><body><a href="/{WHEEL}#sha256={self.sha256}">{WHEEL}</a></body></html>'.encode()
            self.answer(200, page, {"Content-Type": "text/html"})
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if self.has_ranges else None
        first = int(asked[1]) if asked else 0
        self.first_bytes.append(first)
        if first >= len(CONTENT):
            self.answer(416, b"", {})
            return
        headers = {"Content-Range": f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}"} if asked else {}
        self.answer(206 if asked else 200, CONTENT[first:], headers)

    def answer(self, code: int, content: bytes, headers: dict):
        self.send_response(code)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[:self.n_most])
        self.close_connection = True

    def log_message(self, *_):
        pass


def environment(**ours) -> dict:
    others = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    return others | {"PIP_CONFIG_FILE": os.devnull, "no_proxy": "127.0.0.1"} | ours


class PipDownload(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.dest = pathlib.Path(temporary.name) / "dest"
        self.begun = pathlib.Path(temporary.name) / "begun"
        self.begun.mkdir()
        self.index = type("IndexOfOneTest", (Index,), {"first_bytes": []})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.index)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}/"

    def run_script(self, **ours) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, str(SCRIPT), "--dest", str(self.dest), "--begun", str(self.begun),
                               "fake-data==1.0"], env=environment(PIP_INDEX_URL=self.url) | ours, capture_output=True,
                              text=True, timeout=120, check=False)

    def assert_whole(self):
        self.assertEqual((self.dest / WHEEL).read_bytes(), CONTENT)
        self.assertEqual(list(self.begun.iterdir()), [])

    def test_fetches_a_file(self):
        done = self.run_script()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assert_whole()
        self.assertEqual(self.index.first_bytes, [0])

    def test_goes_on_after_breaks(self):
        self.index.n_most = 1 << 20
        self.assertEqual(self.run_script().returncode, 0)
        self.assert_whole()
        self.assertEqual(self.index.first_bytes, [0, 1 << 20, 2 << 20])

    def test_a_later_run_goes_on(self):
        self.index.n_most = 100_000
        done = self.run_script()
        self.assertEqual(done.returncode, 1)
        self.assertIn("connection broken", done.stderr)
        self.assertEqual((self.begun / f".{WHEEL}.begun").stat().st_size, 600_000)
        self.assertFalse((self.dest / WHEEL).exists())
        self.index.n_most = len(CONTENT)
        self.assertEqual(self.run_script().returncode, 0)
        self.assert_whole()
        self.assertEqual(self.index.first_bytes[-1], 600_000)

    def test_starts_again_where_the_index_cannot_go_on(self):
        (self.begun / f".{WHEEL}.begun").write_bytes(b"old")
        self.index.has_ranges = False
        self.assertEqual(self.run_script().returncode, 0)
        self.assert_whole()

    def test_throws_away_what_is_not_as_promised(self):
        (self.begun / f".{WHEEL}.begun").write_bytes(b"other")
        done = self.run_script()  # pip, which comes then, fetches all of it
        self.assertEqual(done.returncode, 1)  # and finds that it is no wheel
        self.assertEqual(list(self.begun.iterdir()), [])
        self.assertEqual(self.index.first_bytes[0], 5)
        self.assertEqual(self.index.first_bytes[1], 0)

    def test_leaves_failures_before_the_first_byte_to_pip(self):
        done = self.run_script(PIP_INDEX_URL="http://127.0.0.1:9/", PIP_RETRIES="0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("No matching distribution found for fake-data==1.0", done.stderr)


class FetchLlamaCpp(unittest.TestCase):
    def test_says_one_line_when_the_network_refuses(self):
        with tempfile.TemporaryDirectory() as folder:
            for flags, says_more in (([], False), (["-v"], True)):
                # Port 9 of this machine: nobody listens.
                done = subprocess.run(
                    [str(FETCH), *flags], capture_output=True, text=True, timeout=120, check=False,
                    env=environment(PIP_INDEX_URL="http://127.0.0.1:9/", PIP_RETRIES="0", REPRISE_DOWNLOADS=folder))
                lines = done.stderr.splitlines()
                self.assertEqual((done.returncode, len(lines) > 1), (1, says_more), done.stderr)
                self.assertRegex(lines[-1], r"^source: the download of .* failed; check the network")
            self.assertEqual([path.name for path in pathlib.Path(folder).iterdir()], [".fetch.lock"])


if __name__ == "__main__":
    unittest.main()
