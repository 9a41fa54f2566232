#!/usr/bin/env python3
"""Holds conversations with `reprise chat` and a tiny random model, through pipes and through a terminal.

REPRISE_PROGRAM and REPRISE_WRITE_TINY_MODEL name the programs; CMake sets them.
"""

import json
import os
import pty
import re
import resource
import select
import signal
import stat
import subprocess
import tempfile
import termios
import time
import unittest

PROGRAM = os.environ["REPRISE_PROGRAM"]
WRITE_TINY_MODEL = os.environ["REPRISE_WRITE_TINY_MODEL"]
TIMEOUT_S = 60


class Terminal:
    """The program on a pseudo terminal."""

    def __init__(self, arguments, environment):
        self.seen = ""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execve(PROGRAM, [PROGRAM, *arguments], environment)

    def send(self, text):
        os.write(self.master, text.encode())

    def wait_for(self, pattern):
        """Returns what came up to the end of the pattern's first match, and forgets it."""
        deadline = time.monotonic() + TIMEOUT_S
        while not (match := re.search(pattern, self.seen)):
            if not self._read(deadline):
                raise AssertionError(f"{pattern!r} did not come; seen: {self.seen!r}")
        text, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return text

    def wait_for_prompt(self):
        self.wait_for("> ")
        while termios.tcgetattr(self.master)[3] & termios.ECHO:  # libedit shows it, then takes over
            time.sleep(0.001)

    def exit_code(self):
        deadline = time.monotonic() + TIMEOUT_S
        while self._read(deadline):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self, deadline):
        """False at the end of the output and after the deadline."""
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not select.select([self.master], [], [], left_s)[0]:
            return False
        try:
            part = os.read(self.master, 4096)
        except OSError:  # the program has gone
            return False
        self.seen += part.decode(errors="replace")
        return bool(part)


class ChatTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.model = self.path("tiny.gguf")
        subprocess.run([WRITE_TINY_MODEL, self.model], check=True)
        self.environment = {**os.environ, "XDG_STATE_HOME": self.folder, "TERM": "xterm"}
        self.environment.pop("NO_COLOR", None)

    def path(self, name):
        return os.path.join(self.folder, name)

    def chat(self, lines, *flags):
        return subprocess.run(
            [PROGRAM, "chat", self.model, "--max-tokens", "12", *flags],
            input="".join(line + "\n" for line in lines),
            capture_output=True, text=True, timeout=TIMEOUT_S, env=self.environment,
        )

    def terminal(self, *flags):
        return Terminal(["chat", self.model, *flags], self.environment)


class ThroughPipes(ChatTest):
    def test_prints_the_answers_and_nothing_else(self):
        done = self.chat(["hello", "", "and then?"], "-q")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr, "")
        self.assertEqual([len(line) for line in done.stdout.splitlines()], [12, 12])

    def test_says_after_each_answer_what_it_cost(self):
        done = self.chat(["hello", "more"])
        self.assertEqual(len(re.findall(r"answer 12 tokens .* policy full", done.stderr)), 2)
        self.assertNotIn("\x1b", done.stderr)
        self.assertEqual(self.chat(["hello"], "--ledger", "off").stderr.count("policy"), 0)
        self.assertIn('"n_answer_tokens": 12', self.chat(["hello"], "--ledger", "json").stderr)

    def test_lists_its_commands_and_finds_the_nearest(self):
        done = self.chat(["/help", "/sve x", "/save", "/quit now", "/quit", "never read"])
        for command in ["/help", "/clear", "/save FILE", "/load FILE", "/ledger", "/history", "/quit"]:
            self.assertIn(command, done.stdout)
        self.assertIn("no command '/sve', did you mean '/save'?", done.stderr)
        self.assertIn("/save: name a file", done.stderr)
        self.assertIn("/quit: takes nothing, so 'now' is too much", done.stderr)
        self.assertEqual(done.returncode, 1)  # a part of the script failed

    def test_takes_a_path_for_a_message(self):
        done = self.chat(["/usr/bin is full", " /quit", "/history"], "-q")
        self.assertIn("user: /usr/bin is full\n", done.stdout)
        self.assertIn("user:  /quit\n", done.stdout)

    def test_shows_the_conversation_and_clears_it(self):
        done = self.chat(["hello", "/history", "/clear", "/history", "/ledger"], "--system", "Be brief.")
        self.assertRegex(done.stdout, r"system: Be brief\.\nuser: hello\nassistant: .+\nsystem: Be brief\.\n$")
        self.assertIn("no answer yet", done.stderr)

    def test_shows_the_ledger_of_the_last_answer(self):
        done = self.chat(["x" * 300, "/ledger"], "--kv", "cake:budget=40,window=8")
        self.assertRegex(done.stdout, r"kv entry +156 kept")  # 3 layers of 40 + 12

    def ledgers(self, stderr):
        """The JSON ledgers of all answers."""
        decoder, found = json.JSONDecoder(), []
        while (start := stderr.find("{")) >= 0:
            ledger, end = decoder.raw_decode(stderr[start:])
            found.append(ledger)
            stderr = stderr[start + end:]
        return found

    def test_a_budget_lasts_for_as_many_turns_as_one_likes(self):
        lines = ["x" * 100, "y" * 30, "z"] + ["and then? " * 8] * 7
        least = self.chat(["hello"], "--kv", "cake:budget=1KiB,window=8").stderr
        n_bytes = 5 * int(re.search(r"smallest budget here is (\d+)", least)[1])  # 45 entries a layer
        for policy in ("cake", "snapkv", "streaming:sink=4", "h2o", "tova", "random"):
            for budget, most in ((f"{n_bytes / 1024}KiB", n_bytes), ("45", n_bytes)):
                flags = ["--kv", f"{policy}{',' if ':' in policy else ':'}budget={budget},window=8"]
                done = self.chat(lines, "-q", "--ledger", "json", *flags)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual([bool(line) for line in done.stdout.splitlines()], [True] * 10)  # answers go on
                held = [ledger["facts"]["held_kv_bytes_after_prefill"] for ledger in self.ledgers(done.stderr)]
                self.assertEqual(len(held), 10)
                self.assertEqual(held[-1], most, held)  # and nothing is dropped for which there is place
                self.assertLessEqual(max(held), most, held)

    def test_says_once_that_a_budget_is_full(self):
        lines = ["x" * 100, "y" * 100, "z" * 100]
        done = self.chat(lines, "--kv", "cake:budget=40,window=8")
        self.assertEqual(done.stderr.count("the KV budget is full"), 1)
        self.assertEqual(len(re.findall(r"cache holds 156 entries in ", done.stderr)), 3)  # 3 layers of 40 + 12
        done = self.chat(lines, "--kv", "cake:budget=40,window=8,turns=each")
        self.assertNotIn("the KV budget is full", done.stderr)
        self.assertIn("cache holds 468 entries in ", done.stderr)  # three times as many

    def test_goes_on_with_a_saved_conversation_under_another_window(self):
        saved = self.path("saved")
        self.chat(["x" * 100, f"/save {saved}"], "-q", "--kv", "cake:budget=9,window=8")
        done = self.chat([f"/load {saved}", "y" * 90, "z"], "-q", "--kv", "cake:budget=70,window=64,decode=tova")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual([bool(line) for line in done.stdout.splitlines()], [True, True])

    def test_goes_on_with_a_saved_conversation(self):
        saved = self.path("saved")
        first = self.chat(["hello", f"/save {saved}", "and then?"], "-q")
        second = self.chat(["other", f"/load {saved}", "and then?"], "-q")
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertEqual(second.returncode, 0, second.stderr)
        self.assertEqual(second.stdout.splitlines()[1], first.stdout.splitlines()[1])

    def test_a_bad_file_changes_nothing(self):
        done = self.chat(["hello", f"/load {self.model}", "/load /nonexistent", "/save /nonexistent/x", "/history"])
        self.assertEqual(done.returncode, 1)
        self.assertIn("tiny.gguf: this is no saved conversation", done.stderr)
        self.assertIn("/nonexistent: cannot open", done.stderr)
        self.assertIn("/nonexistent/x: cannot write there", done.stderr)
        self.assertIn("user: hello\n", done.stdout)

    def test_a_full_disk_leaves_no_part_of_a_file(self):
        saved = self.path("saved/talk")
        os.mkdir(os.path.dirname(saved))
        # The largest file that the program may write stands for the disk.
        done = subprocess.run(
            [PROGRAM, "chat", self.model, "--max-tokens", "12"], input=f"hello\n/save {saved}\n/history\n",
            capture_output=True, text=True, timeout=TIMEOUT_S, env=self.environment,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)))
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{saved}: cannot write: File too large; free some space", done.stderr)
        self.assertIn("user: hello\n", done.stdout)
        self.assertEqual(os.listdir(os.path.dirname(saved)), [])

    def test_a_full_context_ends_no_conversation(self):
        done = self.chat(["x" * 40, "y" * 40, "/history", "/clear", "y" * 40], "--ctx", "120")
        self.assertRegex(done.stderr, r"conversation has \d+ tokens .* context of 120: raise it \(--ctx\)")
        self.assertEqual(done.stdout.count("user:"), 1)
        self.assertEqual(len(done.stdout.splitlines()), 4)  # answer, two lines of history, answer
        self.assertEqual(self.chat(["hello"], "--ctx", "3000").returncode, 1)  # trained for 2,048

    def test_refuses_bytes_that_are_no_text(self):
        done = subprocess.run(
            [PROGRAM, "chat", self.model], input=b"\xff\xfe\nhello\n", capture_output=True, timeout=TIMEOUT_S)
        self.assertIn(b"your message: not UTF-8: byte 0xFF at offset 0", done.stderr)
        self.assertEqual(done.returncode, 1)

    def test_ends_when_nobody_reads(self):
        chat = subprocess.Popen(
            [PROGRAM, "chat", self.model, "-q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=self.environment)
        chat.stdout.close()
        error = chat.communicate(b"hello\n" * 100, timeout=TIMEOUT_S)[1]
        self.assertEqual(error.count(b"\n"), 1, error)
        self.assertIn(b"standard output cannot be written", error)
        self.assertEqual(chat.returncode, 1)

    def test_an_interrupt_while_it_reads_forgets_the_message(self):
        chat = subprocess.Popen(
            [PROGRAM, "chat", self.model, "--kv", "full", "--max-tokens", "300"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment)
        chat.stdin.write("x" * 1700 + "\n")
        chat.stdin.flush()
        self.assertIn("reading the message", chat.stderr.readline())  # a third of it is read
        chat.send_signal(signal.SIGINT)
        out, error = chat.communicate("hello\n/history\n", timeout=TIMEOUT_S)
        self.assertEqual(chat.returncode, 0, error)
        self.assertRegex(error, r"\(stopped")
        self.assertIn("user: hello\n", out)
        if "stopped while reading" in error:  # so it is, unless this test was kept waiting for long
            self.assertNotIn("user: x", out)

    def test_usage_errors(self):
        for flags in [["--ledger", "tabel"], ["--kvv", "full"], ["--max-tokens", "0"]]:
            self.assertEqual(self.chat([], *flags).returncode, 2, flags)
        self.assertIn("did you mean 'cake'", self.chat([], "--kv", "caek").stderr)


class OnATerminal(ChatTest):
    def test_greets_answers_and_leaves_at_the_end_of_input(self):
        terminal = self.terminal("--max-tokens", "12")
        terminal.wait_for(r"context of 2,048 tokens · --kv full · /help")
        terminal.wait_for_prompt()
        terminal.send("hello\n")
        terminal.wait_for(r"\x1b\[2mprompt \d+ tokens .* policy full used .*\x1b\[0m")
        terminal.wait_for_prompt()
        terminal.send("\x04")
        self.assertEqual(terminal.exit_code(), 0)

    def test_control_c_stops_the_answer_and_not_the_conversation(self):
        terminal = self.terminal("--max-tokens", "100000")
        terminal.wait_for_prompt()
        terminal.send("hello\n")
        terminal.wait_for(r"hello\r\n[ -~]")  # the answer has begun
        terminal.send("\x03")
        terminal.wait_for(r"\(stopped\)")
        terminal.wait_for_prompt()
        terminal.send("/history\n")
        terminal.wait_for(r"assistant: [ -~]+\r\n")
        terminal.wait_for_prompt()
        terminal.send("/quit\n")
        self.assertEqual(terminal.exit_code(), 0)

    def test_control_c_twice_at_the_prompt_leaves(self):
        terminal = self.terminal()
        terminal.wait_for_prompt()
        terminal.send("half a line\x03")
        terminal.wait_for(r"Ctrl-C again, or Ctrl-D, leaves")
        terminal.wait_for_prompt()
        terminal.send("/history\n")  # the half line is gone, and so is the first Ctrl-C
        terminal.wait_for(r"nothing was said yet")
        terminal.wait_for_prompt()
        terminal.send("\x03")
        terminal.wait_for(r"Ctrl-C again")
        terminal.send("\x03")
        self.assertEqual(terminal.exit_code(), 130)

    def test_edits_lines_and_remembers_them(self):
        terminal = self.terminal("--max-tokens", "4")
        terminal.wait_for_prompt()
        terminal.send("grün?\x7f!\n")  # backspace takes the question mark
        terminal.wait_for("policy full")
        terminal.wait_for_prompt()
        terminal.send("\x04")
        self.assertEqual(terminal.exit_code(), 0)
        history = self.path("reprise/history")
        with open(history, encoding="utf-8") as file:
            self.assertEqual(file.read(), "grün!\n")
        self.assertEqual(stat.S_IMODE(os.stat(history).st_mode), 0o600)

        again = self.terminal("--max-tokens", "4")
        again.wait_for_prompt()
        again.send("\x1b[A\n")  # arrow up: the line of the last session
        again.wait_for("policy full")
        again.wait_for_prompt()
        again.send("/history\n")
        again.wait_for("user: grün!")
        os.kill(again.pid, signal.SIGTERM)
        self.assertEqual(again.exit_code(), -signal.SIGTERM)

    def test_keeps_the_prompt_out_of_a_file(self):
        out = self.path("out")
        command = f"'{PROGRAM}' chat '{self.model}' --max-tokens 12 -q > '{out}'"
        pid, master = pty.fork()
        if pid == 0:
            os.execve("/bin/sh", ["sh", "-c", command], self.environment)
        os.write(master, b"hello\n/quit\n")
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                os.read(master, 4096)
            except OSError:
                break
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        with open(out, encoding="utf-8") as file:
            self.assertRegex(file.read(), r"^[ -~]{12}\n$")


if __name__ == "__main__":
    unittest.main()
