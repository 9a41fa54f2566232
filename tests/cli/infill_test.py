#!/usr/bin/env python3
"""`reprise run` with the diffusion language model that comes with the program: what it answers, fills, shows and refuses.

REPRISE_PROGRAM and REPRISE_WRITE_TINY_MODEL name the programs; CMake sets them.
"""

import fcntl
import json
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import tempfile
import termios
import unittest

PROGRAM = os.environ["REPRISE_PROGRAM"]
SOURCE = pathlib.Path(__file__).parents[2]
MODEL = SOURCE / "models" / "dllm" / "dllm-demo.Q8_0.gguf"
TIMEOUT_S = 60

# The model gets every record right, so this is no matter of luck, and most of it at once.
RECORD = "Write the record: Iris, 65, Delhi, order 9684, 60 apples."
ANSWER = """{
  "name": "Iris",
  "age": 65,
  "address": {"city": "Delhi"},
  "order": {"id": 9684, "item": "apples", "quantity": 60}
}
"""


# Takes several passes a span.
STORY = "Kate has 34 coins. A: buys 13. B: doubles them. C: loses 57. D: gives away 26. How many now?"
SMALL = ["--pad-canvas", "0"]  # quick, and no good text


class InfillTest(unittest.TestCase):
    def program(self, *arguments, code=0, env=None):
        done = subprocess.run([PROGRAM, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=TIMEOUT_S, env=os.environ | (env or {}))
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stderr}")
        return done

    def run_model(self, *arguments, **how):
        # One thread: two wait for each other on a busy machine.
        return self.program("run", MODEL, "--threads", "1", *arguments, **how)

    def ledger(self, *arguments):
        return json.loads(self.run_model("-q", "--ledger", "json", *arguments).stderr)


class Answers(InfillTest):
    def test_are_right_and_alone_on_standard_output(self):
        done = self.run_model("-p", RECORD)
        self.assertEqual(done.stdout, ANSWER)
        self.assertRegex(done.stderr, r"token row +768 +- .*\nposition +64 ")
        self.assertRegex(done.stderr, r"canvas 384 rows · .* policy span fixed:len=32, commit threshold:tau=0.9, refresh dual\n")
        self.assertEqual(self.run_model("-q", "-p", RECORD).stderr, "")

    def test_are_the_same_with_every_policy_that_keeps_them(self):
        for flags in (["--refresh", "none"], ["--refresh", "prefix"], ["--span", "adablock"],
                      ["--span", "adablock:window=budget"], ["--eos", "full"], ["--eos", "last"], ["--cache-type", "f32"], ["--cache-type", "q8_0"]):
            self.assertEqual(self.run_model("-q", "-p", RECORD, *flags).stdout, ANSWER, flags)
        self.assertEqual(self.run_model("-q", "--raw", "-p", RECORD + "\n").stdout, ANSWER)

    def test_are_found_by_name_and_read_from_a_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(RECORD + "\n\n")
            file.flush()
            self.assertEqual(self.program("run", "dllm-demo", "-q", "-f", file.name).stdout, ANSWER)

    def test_are_streamed_span_by_span(self):
        run = subprocess.Popen([PROGRAM, "run", MODEL, "-p", RECORD, "--span", "fixed:len=8", "-q"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        chunks = []
        while chunk := os.read(run.stdout.fileno(), 4096):
            chunks.append(chunk)
        run.communicate(timeout=TIMEOUT_S)
        self.assertGreater(len(chunks), 3)  # spans of 8 tokens each
        self.assertEqual(b"".join(chunks).decode(), ANSWER)

    def test_a_seed_repeats_what_is_drawn(self):
        hot = ["-q", "-p", RECORD, "--temp", "3", "--max-tokens", "32", "--seed"]
        texts = [self.run_model(*hot, seed).stdout for seed in (1, 1, 2)]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])
        # One token to choose from leaves nothing to draw; what the user does not give is no filter.
        self.assertEqual(self.run_model(*hot, "1", "--top-k", "1").stdout,
                         self.run_model("-q", "-p", RECORD, "--max-tokens", "32").stdout)
        self.assertEqual(self.run_model(*hot, "1", "--top-k", "0", "--top-p", "1").stdout, texts[0])

    def test_a_budget_ends_them(self):
        ledger = self.ledger("-p", RECORD, "--max-tokens", "10")
        self.assertEqual((ledger["facts"]["n_to_fill"], ledger["facts"]["n_answer_tokens"]), (10, 10))
        stderr = self.run_model("-p", "x " * 140, "--ledger", "off").stderr  # of 128 only where nobody asks for more
        self.assertRegex(stderr, r"tokens leave \d+ of the context of 384: the answer may have \d+\n$")

    def test_end_tokens_stop_them_or_not(self):
        of = {eos: self.ledger("-p", RECORD, "--eos", eos) for eos in ("stop", "full", "never")}
        self.assertEqual({eos: ledger["units"][1]["dropped"] for eos, ledger in of.items()}, {"stop": 64, "full": 0, "never": 0})
        tokens = {eos: ledger["facts"]["n_answer_tokens"] for eos, ledger in of.items()}
        self.assertEqual((tokens["full"], tokens["never"]), (tokens["stop"], 128))
        self.assertIn(", eos full", of["full"]["facts"]["policy"])


class Ledgers(InfillTest):
    def test_count_rows_passes_and_spans(self):
        ledger = self.ledger("-p", STORY, "--span", "adablock:window=budget")
        facts, spans = ledger["facts"], ledger["spans"]
        row, position = ledger["units"]
        self.assertEqual(row["computed"] + row["reused"], facts["n_passes"] * 384)
        self.assertGreater(row["reused"], 0)
        self.assertEqual((row["saved"]["is_estimate"], row["saved"]["of"]), (True, "passes"))
        self.assertAlmostEqual(row["saved"]["value"], row["reused"] * facts["row_s"])
        self.assertEqual(position["computed"] + position["dropped"], 128)
        self.assertEqual(sum(span["n_steps"] for span in spans), facts["n_passes"])
        self.assertEqual(facts["n_spans"], len(spans))
        self.assertIn("delimiter", {span["reason"] for span in spans})
        for before, span in zip(spans, spans[1:]):
            self.assertEqual(span["first"], before["first"] + before["n"])
        self.assertEqual(facts["peak_cache_bytes"], 384 * 8 * 2 * 6 * 64 * 2)
        self.assertLess(facts["plan_share"] + facts["commit_share"], 0.01)  # what the design grants

    def test_of_an_exact_run_reuse_nothing(self):
        ledger = self.ledger("--infill", "-p", "sort: {{20}}", "--exact", *SMALL)
        self.assertEqual((ledger["units"][0]["reused"], ledger["facts"]["n_passes"]), (0, 20))
        self.assertEqual(ledger["facts"]["policy"], "span fixed:len=16, commit top1, refresh none")
        self.assertIsNone(ledger["units"][0]["saved"])

    def test_verify_says_what_differs(self):
        stderr = self.run_model("-p", "sort: 15, 23, 21, 40", "--ledger", "verify").stderr
        self.assertRegex(stderr, r"\nverify: --exact takes \d+ passes over [\d,]+ rows in .* it writes the same text\n$")
        stderr = self.run_model("--infill", "-p", "sort: {{12}}", "--ledger", "verify", "--temp", "5", *SMALL).stderr
        self.assertRegex(stderr, r"it writes \d+ of \d+ tokens alike; the first other one stands at position \d+: ")

    def test_a_trace_has_every_pass(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "trace.json"
            self.run_model("-p", RECORD, "--ledger", f"trace={path}")
            trace = json.loads(path.read_text())
        names = [event["name"] for event in trace["traceEvents"] if event["cat"] == "fill"]
        self.assertEqual(len(names), trace["otherData"]["facts"]["n_passes"])
        self.assertRegex(names[0], r"^pass 1: 384 rows, span 1$")
        self.assertIn("proposals", {event["name"] for event in trace["traceEvents"]})


class Gaps(InfillTest):
    def test_are_filled_in_the_text(self):
        text = ("Iris has 55 marbles. A: finds 16. B: loses 21. How many now?\nA: 55 + 16 = 71.\n"
                "B: Iris had 71 marbles and then 21 went away, so 71 - 21 = 50 marbles are left.\n")
        gapped = text.replace("71", "{{2}}")
        self.assertEqual(gapped.count("{{"), 3)
        self.assertEqual(self.run_model("-q", "--infill", "-p", gapped).stdout, text)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(gapped)
            file.flush()
            self.assertEqual(self.run_model("-q", "--infill", "-f", file.name).stdout, text)

    def test_may_be_text(self):
        out = self.run_model("-q", "--infill", "-p", r"\{{8}} {{x}} \\{{1}} \n").stdout
        self.assertRegex(out, r"^\{\{8\}\} \{\{x\}\} \\[\s\S]* \\n\n$")
        self.assertNotIn("{{1}}", out)
        mask = self.run_model("-q", "--infill", "-p", "sort: 1, 2<|mask|> 3").stdout
        self.assertTrue(mask.startswith("sort: 1, 2") and mask.endswith(" 3\n"), mask)
        self.assertNotIn("mask", mask)

    def test_hold_no_end_of_text(self):
        ledger = self.ledger("--infill", "-p", "done.{{30}}\n")
        self.assertEqual(ledger["facts"]["n_filled"], 30)
        self.assertEqual(ledger["units"][1]["dropped"], 0)

    def test_are_refused_when_bad(self):
        for text, what in (("no gap", "the text has no gap to fill; write {{8}}"),
                           ("{{0}}", "the gap {{0}} at byte 0 has no position"),
                           ("{{385}}", "longer than the context of 384 tokens"),
                           ("{{200}} {{200}}", "400 positions together, the context has 384"),
                           ("sort: 1, 2 {{380}}", "positions with its gaps, the model was trained for 384")):
            done = self.run_model("-q", "--infill", "-p", text, code=1)
            self.assertIn(what, done.stderr)
            self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1))
        self.assertIn("nothing to fill", self.run_model("--infill", code=1).stderr)
        for flags in (["--max-tokens", "5"], ["--system", "x"], ["--chat-template", "chatml"], ["-f", "x"]):
            self.assertIn("--infill", self.run_model("--infill", "-p", "{{1}}", *flags, code=2).stderr)


class Watching(InfillTest):
    def test_in_a_pipe_gives_a_frame_a_pass(self):
        done = self.run_model("--watch", "--ledger", "off", "-p", RECORD, "--span", "adablock:window=budget")
        self.assertEqual(done.stdout, ANSWER)
        self.assertNotIn("\x1b", done.stderr)
        frames = re.findall(r"(?m)^(pass \d+ · .*)\n\n", done.stderr)
        numbers = [int(re.match(r"pass (\d+) ·", frame)[1]) for frame in frames]
        self.assertEqual(numbers, list(range(1, len(frames) + 1)))
        self.assertGreater(len(frames), 2)
        self.assertRegex(frames[0], r"^pass 1 · 384 of 384 rows · span 1: \d+ positions? up to a line break · \d+ of 128 filled · ")
        self.assertIn("░", done.stderr.split("pass 1 ·")[0])
        self.assertIn("⟦{⟧\n", done.stderr)
        weights, *first = done.stderr.split("pass 1 ·")[0].split("\n")
        self.assertIn("--weights auto: ", weights)
        self.assertTrue(all(len(line) <= 80 for line in first))
        self.assertEqual(self.run_model("--watch", "-q", "-p", RECORD).stderr, "")

    def test_of_gaps_shows_the_whole_text(self):
        done = self.run_model("--watch", "--ledger", "off", "--infill", "-p", "sort: 1, {{2}} 3\n")
        self.assertRegex(done.stderr, r"^reprise: --weights .*\nsort: 1, ⟦..?.?.?⟧ 3\n[\s\S]*pass 1 · ")

    def on_a_terminal(self, **env):
        master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 40, 0, 0))
        run = subprocess.Popen([PROGRAM, "run", MODEL, "--watch", "--ledger", "off", "-p", RECORD], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=terminal, env=os.environ | env)
        os.close(terminal)
        out = b""
        try:
            while chunk := os.read(master, 65536):
                out += chunk
        except OSError:  # how a terminal without programs ends
            pass
        os.close(master)
        stdout, _ = run.communicate(timeout=TIMEOUT_S)
        self.assertEqual((run.returncode, stdout.decode()), (0, ANSWER))
        return out.decode().replace("\r\n", "\n")

    def test_on_a_terminal_redraws_one_picture(self):
        out = self.on_a_terminal(NO_COLOR="")
        self.assertRegex(out, r"\x1b\[\d+A\r\x1b\[J")
        self.assertIn("\x1b[33m", out)
        pictures, last = out.partition("\n")[2].rsplit("\x1b[J", 1)  # behind the line about weights
        plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", pictures)
        self.assertTrue(all(len(line.strip("\r")) <= 40 for line in plain.split("\n")), plain)
        self.assertRegex(last, r"^pass 2 · .* · 64 of 128 filled · .*\n$")  # stays
        self.assertNotIn("\x1b[33m", self.on_a_terminal(NO_COLOR="1"))


class Refusals(InfillTest):
    def refusal(self, *arguments, code):
        done = self.run_model("-q", *arguments, code=code)
        self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1), done.stderr)
        return done.stderr

    def test_of_flags_of_the_other_kind(self):
        for flags in (["--kv", "cake"], ["--ctx", "100"], ["--min-p", "0.1"], ["--repeat-penalty", "2"],
                      ["--repeat-last-n", "3"], ["--stop", "x"], ["--logprobs", "3"], ["--truncate", "middle"],
                      ["--compress-after", "prompt"]):
            line = self.refusal("-p", RECORD, *flags, code=2)
            self.assertIn(f"{flags[0]}: is for causal models, and {MODEL} is a diffusion language model (llada)", line)
            self.assertIn("--span, --commit, --refresh", line)

    def test_of_diffusion_flags_by_a_causal_model(self):
        with tempfile.TemporaryDirectory() as folder:
            tiny = pathlib.Path(folder) / "tiny.gguf"
            subprocess.run([os.environ["REPRISE_WRITE_TINY_MODEL"], tiny], check=True)
            for flags in (["--span", "adablock"], ["--commit", "top1"], ["--refresh", "none"], ["--pad-canvas", "100"],
                          ["--cache-type", "f16"], ["--eos", "full"], ["--infill"], ["--watch"]):
                stderr = self.program("run", tiny, "-q", "-p", "x", *flags, code=2).stderr
                self.assertIn(f"{flags[0]}: is for diffusion language models such as dllm-demo, and {tiny} is a causal", stderr)

    def test_of_a_wrong_command_line(self):
        for flags, what in ((["--span", "adablok"], "no policy 'adablok', did you mean 'adablock'?"),
                            (["--span", "fixed:lne=3"], "did you mean 'len'?"),
                            (["--span", "fixed:len=0"], "len"),
                            (["--span", "adablock:b0=0"], "b0"),
                            (["--span", "adablock:tau_d=-1"], "tau_d"),
                            (["--span", "top1"], "--span"),
                            (["--commit", "threshold:tau=0"], "tau"),
                            (["--commit", "threshold:tau=1.5"], "tau"),
                            (["--refresh", "duel"], "did you mean 'dual'?"),
                            (["--refresh", "duel", "--exact"], "did you mean 'dual'?"),
                            (["--cache-type", "q3"], "--cache-type"),
                            (["--eos", "no"], "--eos"),
                            (["--pad-canvas", "-1"], "--pad-canvas"),
                            (["--temp", "-1"], "--temp"),
                            (["--wacth"], "did you mean '--watch'?")):
            self.assertIn(what, self.refusal("-p", RECORD, *flags, code=2))

    def test_of_what_does_not_fit(self):
        for flags, what in ((["-p", RECORD, "--pad-canvas", "385"], "--pad-canvas 385: the model was trained for 384 rows"),
                            (["-p", RECORD, "--pad-canvas", "100"], "raise it, or lower --max-tokens"),
                            (["--infill", "-p", "a {{20}}", "--pad-canvas", "10"], "--pad-canvas 10: the text and what is to be"),
                            (["-p", RECORD, "--max-tokens", "400"],
                             "--max-tokens 400: the prompt's 29 tokens leave 355 of the context of 384; ask for 355 at most"),
                            (["-p", "x " * 400], "leaves nothing of the context of 384 for an answer; shorten it"),
                            (["--raw", "-p", "sort: <|mask|>"], "is the model's mask"),
                            (["-p", RECORD, "--span", "adablock:delimiters=0"], "is the model's mask"),
                            (["-p", RECORD, "--span", "adablock:delimiters=9999"], "9999"),
                            (["-p", RECORD, "--chat-template", "chatlm"], "neither a file nor a known name"),
                            ([], "nothing to answer")):
            self.assertIn(what, self.refusal(*flags, code=1))

    def test_of_a_canvas_beyond_the_context(self):
        data = MODEL.read_bytes()
        at = data.index(b"reprise.canvas_length") + len("reprise.canvas_length") + 4  # behind the type
        self.assertEqual(struct.unpack_from("<I", data, at), (384,))
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            for n, code in ((385, 1), (0, 1), (200, 0)):
                file.seek(0)
                file.write(data[:at] + struct.pack("<I", n) + data[at + 4:])
                file.flush()
                done = self.program("run", file.name, "-p", RECORD, "--max-tokens", "4", code=code)
                self.assertIn("canvas 200 rows" if code == 0 else "reprise.canvas_length", done.stderr)

    def test_of_the_model_by_verbs_that_write_from_left_to_right(self):
        for verb in (["chat"], ["eval", "ppl", "-f", SOURCE / "LICENSE"], ["eval", "recall"], ["bench", "kv"]):
            line = self.program(*verb, MODEL, code=1).stderr.splitlines()[-1]
            self.assertIn("is a diffusion language model (llada); 'reprise run', 'eval dllm' and 'bench dllm' take it", line)


class Endings(InfillTest):
    def interrupted(self, *arguments):
        run = subprocess.Popen([PROGRAM, "run", MODEL, "--exact", "--threads", "1", *map(str, arguments)], bufsize=0,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        first = run.stdout.read(1)
        run.send_signal(signal.SIGINT)
        rest, stderr = run.communicate(timeout=TIMEOUT_S)
        self.assertEqual(run.returncode, 130, stderr)
        return (first + rest).decode(), stderr.decode()

    def test_an_interrupt_keeps_what_is_whole(self):
        text, stderr = self.interrupted("-p", RECORD)
        self.assertTrue(text.endswith("\n") and ANSWER.startswith(text.rstrip("\n")), text)
        self.assertLess(len(text), len(ANSWER))
        self.assertIn("token row", stderr)

    def test_an_interrupt_leaves_gaps_that_can_be_filled_later(self):
        text, _ = self.interrupted("-q", "--infill", "-p", "sort: 1, {{100}} 3\n{{100}}\n", *SMALL)
        self.assertRegex(text, r"^sort: 1, [\s\S]*\{\{\d+\}\}[\s\S]*\n$")

    def test_a_full_disk_is_no_success(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([PROGRAM, "run", MODEL, "-q", "-p", RECORD], stdin=subprocess.DEVNULL, stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_S)
        self.assertEqual((done.returncode, done.stderr),
                         (1, "reprise: standard output cannot be written: No space left on device\n"))


if __name__ == "__main__":
    unittest.main()
