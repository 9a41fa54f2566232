#!/usr/bin/env python3
"""`reprise run` with a tiny random model: what it takes, prints and refuses, and how it ends.

REPRISE_PROGRAM and REPRISE_WRITE_TINY_MODEL name the programs; CMake sets them.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["REPRISE_PROGRAM"]
SOURCE = pathlib.Path(__file__).parents[2]
TIMEOUT_S = 60


class RunTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.model = cls.folder / "tiny.gguf"  # trained for 2,048 tokens, about one a character
        subprocess.run([os.environ["REPRISE_WRITE_TINY_MODEL"], cls.model], check=True)

    def file(self, name, data):
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def program(self, *arguments, code=0, stdin="", stdout=subprocess.PIPE):
        source = {"input": stdin} if stdin else {"stdin": subprocess.DEVNULL}
        done = subprocess.run([PROGRAM, *map(str, arguments)], stdout=stdout, stderr=subprocess.PIPE, text=True,
                              timeout=TIMEOUT_S, cwd=self.folder, **source)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stderr}")
        return done

    def run_model(self, *arguments, **how):
        return self.program("run", self.model, "--max-tokens", "12", *arguments, **how)

    def ledger(self, *arguments, **how):
        stderr = self.run_model("--ledger", "json", "-q", *arguments, **how).stderr
        return json.loads(stderr)["facts"]


class Answers(RunTest):
    def test_only_the_answer_goes_to_standard_output(self):
        done = self.run_model("-p", "hello")
        self.assertRegex(done.stdout, r"^[ -~]{12}\n$")
        self.assertRegex(done.stderr, r"kv entry .* kept[\s\S]*answer 12 tokens .* policy full")
        self.assertEqual(self.run_model("-p", "hello", "-q").stderr, "")
        self.assertEqual(self.run_model("-p", "hello", "-q").stdout, done.stdout)

    def test_a_document_comes_from_a_redirected_file(self):
        path = self.file("document.txt", "A document.\n\n")
        named = self.ledger("-f", path, "-p", "What is it?")["n_prompt_tokens"]
        for source, want in ((path, named), (os.devnull, named - len("A document.\n\n"))):
            with open(source, encoding="utf-8") as stdin:
                done = subprocess.run(
                    [PROGRAM, "run", self.model, "--max-tokens", "1", "--ledger", "json", "-q", "-p", "What is it?"],
                    stdin=stdin, capture_output=True, text=True, timeout=TIMEOUT_S)
            self.assertEqual(json.loads(done.stderr)["facts"]["n_prompt_tokens"], want, source)

    def test_weights_are_not_copied_for_a_short_answer(self):
        def is_copied(*flags):
            stderr = self.program("run", self.model, "-p", "x", "--stop", "e", "-v", *flags).stderr
            return "of weights copied into large pages" in stderr

        self.assertFalse(is_copied("--max-tokens", "199"))
        self.assertFalse(is_copied("--max-tokens", "200", "--mmap", "on"))
        self.assertTrue(is_copied("--max-tokens", "1", "--mmap", "off"))
        setting = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
        has_large_pages = setting.exists() and "[never]" not in setting.read_text()
        self.assertEqual(is_copied("--max-tokens", "200"), has_large_pages)

    def test_a_document_comes_from_a_file_or_a_pipe(self):
        path = self.file("document.txt", "A document.\n\n")
        from_file = self.ledger("-f", path, "-p", "What is it?")
        for stdin, flags in (("A document.\n", []), ("A document.", ["-f", "-"])):
            self.assertEqual(self.ledger("-p", "What is it?", *flags, stdin=stdin)["n_prompt_tokens"],
                             from_file["n_prompt_tokens"])
        alone = self.ledger("-p", "What is it?")
        self.assertEqual(from_file["n_prompt_tokens"] - alone["n_prompt_tokens"], len("A document.\n\n"))

    def test_a_stop_text_ends_the_answer(self):
        whole = self.run_model("-p", "hello", "-q").stdout
        stop = whole[5:7]
        done = self.run_model("-p", "hello", "-q", "--stop", "never comes", "--stop", stop)
        self.assertEqual(done.stdout, whole[:whole.index(stop)] + "\n")

    def test_a_grammar_binds_it(self):
        grammar = self.file("answer.gbnf", 'root ::= "yes" | "no"\n')
        self.assertIn(self.run_model("-p", "hello", "-q", "--grammar", grammar).stdout, ("yes\n", "no\n"))

    def test_log_probabilities_stand_beside_it(self):
        stderr = self.run_model("-p", "hello", "--logprobs", "3", "--ledger", "off").stderr
        lines = [line for line in stderr.splitlines() if "|" in line]
        self.assertEqual(len(lines), 12)
        for line in lines:
            chosen, *best = map(float, re.findall(r"(-?\d+\.\d{3})(?= |$)", line))
            self.assertEqual(best, sorted(best, reverse=True))
            self.assertEqual((len(best), chosen), (3, best[0]))  # greedy
            self.assertLessEqual(best[0], 0)

    def test_a_seed_repeats_it(self):
        texts = [self.run_model("-p", "hello", "-q", "--temp", "5", "--seed", seed).stdout for seed in (1, 1, 2)]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])

    def test_exact_turns_the_policy_off(self):
        question = ["-p", "x" * 300, "--kv", "cake:budget=40,window=8"]
        self.assertEqual(self.ledger(*question)["policy"], "cake:budget=40,window=8")
        self.assertGreater(self.ledger(*question)["n_entries_dropped_in_prefill"], 0)
        self.assertEqual(self.ledger(*question, "--exact")["policy"], "full")

    def test_a_budget_that_holds_everything_is_a_note(self):
        stderr = self.run_model("-p", "hello", "--kv", "cake:budget=500").stderr
        self.assertRegex(stderr, r"the budget holds all \d+ tokens of the prompt, nothing was dropped")

    def test_the_ledger_verifies_itself_and_leaves_a_trace(self):
        question = ["-p", "x" * 300, "--kv", "cake:budget=40,window=8"]
        self.assertRegex(self.run_model(*question, "--ledger", "verify").stderr, r"verify: --exact takes .* cache is ")
        trace = self.folder / "trace.json"
        self.run_model(*question, "--ledger", f"trace={trace}")
        names = {event["name"] for event in json.loads(trace.read_text())["traceEvents"]}
        self.assertLessEqual({"weights", "vocabulary", "token"}, names)

    def test_the_ledger_lists_what_each_layer_got(self):
        stderr = self.run_model("-p", "x" * 300, "--kv", "cake:budget=40,window=8", "--ledger", "json", "-q").stderr
        layers = json.loads(stderr)["kv_layers"]
        self.assertEqual([row["layer"] for row in layers], [0, 1, 2])
        self.assertEqual(sum(row["n_entries_kept"] for row in layers), 3 * 40)
        self.assertTrue(all(row["preference"] > 0 for row in layers))
        self.assertEqual(json.loads(stderr)["facts"]["n_uniform_fallbacks"], 0)


class Products(RunTest):
    """Which kernels multiplied the weights, by what ran: a tiny model of 22 F32 matrices."""

    def products(self, *arguments):
        done = self.run_model("--ledger", "json", "-q", "--raw", *arguments)
        ledger = json.loads(done.stderr)
        counts = {(row["phase"], row["kernel"]): row["n_matrices"] for row in ledger["products"]}
        facts = ledger["facts"]
        self.assertEqual(facts["n_prompt_matrices_by_ggml"], counts.get(("prompt", "ggml's product"), 0))
        self.assertEqual(facts["n_decode_matrices_by_ggml"], counts.get(("decode", "ggml's product"), 0))
        return counts

    def test_are_counted_by_phase_and_kernel(self):
        # q, k, v, o, gate, up and down in 3 layers, but behind the last attention only one token is left; and the head.
        n_prompt, n_decode = 2 * 7 + 3, 3 * 7 + 1
        self.assertEqual(self.products("-p", "x" * 300),
                         {("prompt", "F32 panels"): n_prompt, ("decode", "ggml's product"): n_decode})
        # Too few tokens to pay for the conversion.
        self.assertEqual(self.products("-p", "xxx"),
                         {("prompt", "ggml's product"): n_prompt, ("decode", "ggml's product"): n_decode})

    def test_without_a_kernel_stand_in_the_table(self):
        stderr = self.run_model("-p", "x" * 300).stderr
        self.assertRegex(stderr, r"\nno kernel of ours for f32 in decode: ggml multiplied 22 matrices\n")


class Memory(RunTest):
    def limited(self, kib, *arguments):
        return subprocess.run(["bash", "-c", f'ulimit -v {kib} && exec "$0" "$@"', PROGRAM, *map(str, arguments)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S)

    def test_that_runs_out_ends_in_one_line(self):
        """From where the program starts at all to where it answers."""
        def starts(kib):
            return self.limited(kib, "--version").returncode == 0

        step, too_little, least = 64, 0, 1 << 20
        if not starts(least):
            self.skipTest("the program needs more address space than any limit tried: a sanitizer's")
        while least - too_little > step:
            middle = (least + too_little) // 2
            too_little, least = (too_little, middle) if starts(middle) else (middle, least)
        run = ["run", self.model, "-q", "-p", "x" * 300, "--max-tokens", "2"]
        endings = []
        for kib in range(least, least + 1600 * step, step):
            done = self.limited(kib, *run)
            if done.returncode == 0:
                break
            endings.append(done)
        else:
            self.fail(f"never enough: {done.stderr}")
        told = "".join(done.stderr for done in endings)
        for advice in ("lower --threads", "--mmap on", "lower --ctx"):  # it ended at different places
            self.assertIn(advice, told)
        for done in endings:
            self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
            self.assertRegex(done.stderr, r"^reprise: [^\n]*(out of memory|which are not free)[^\n]*\n$")
            self.assertRegex(done.stderr, r"--ctx|smaller model|--threads")


class Threads(RunTest):
    def compute_threads(self, *arguments, prefix=()):
        """Names of the notes, and how many threads worked on our nodes."""
        trace = self.folder / "threads.json"
        done = subprocess.run([*prefix, PROGRAM, "run", self.model, "-p", "hello", "--max-tokens", "4", "--ledger", f"trace={trace}",
                               *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        events = json.loads(trace.read_text())["traceEvents"]
        return done.stderr, len({event["tid"] for event in events} - {1})

    def test_are_one_for_each_core_of_the_mask(self):
        core = min(os.sched_getaffinity(0))
        stderr, n = self.compute_threads("-v", prefix=["taskset", "-c", str(core)])
        self.assertEqual(n, 1)
        self.assertIn("1 compute threads; this process may use 1 cores", stderr)
        stderr, n = self.compute_threads("--threads", "2", prefix=["taskset", "-c", str(core)])
        self.assertEqual(n, 1)
        self.assertIn("--threads 2: this process may use 1 core, more threads would be slower; 1 is started", stderr)


class LongPrompts(RunTest):
    def test_are_refused_with_their_counts(self):
        stderr = self.run_model("-p", "x" * 3000, code=1).stderr
        self.assertRegex(stderr, r"the prompt has (\d+) tokens and the answer may have 12, together \d+ more than the "
                                 r"context of 2048; .*--truncate middle")

    def test_are_cut_in_their_middle_when_asked(self):
        document = self.file("long.txt", "a" * 1500 + "b" * 1500)
        facts = self.ledger("-f", document, "-p", "What is it?", "--truncate", "middle")
        self.assertEqual(facts["n_prompt_tokens"], 2048 - 12)
        stderr = self.run_model("-f", document, "-p", "x", "--truncate", "middle", "--ctx", "500").stderr
        self.assertRegex(stderr, r"of 3,\d+ prompt tokens were cut out of the middle")
        self.run_model("-p", "x", "--truncate", "middle", "--ctx", "12", code=1)


class Refusals(RunTest):
    """One line that names what is wrong, and nothing on standard output."""

    def refusal(self, *arguments, code):
        done = self.run_model("-q", *arguments, code=code)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        return done.stderr

    def test_of_a_wrong_command_line(self):
        for flags, what in (
                (["--kv", "caek"], "no policy 'caek', did you mean 'cake'?"),
                (["--kv", "cake:budjet=64"], "did you mean 'budget'?"),
                (["--kv", "cake:budget=32"], "raise budget to at least 33"),
                (["--temp", "-1"], "--temp -1: must be from 0 to 100"),
                (["--top-p", "nan"], "--top-p"),
                (["--seed", "-1"], "--seed"),
                (["--logprobs", "0"], "--logprobs"),
                (["--max-tokens", "0"], "--max-tokens"),
                (["--truncate", "end"], "--truncate"),
                (["--ledger", "jsno"], "did you mean 'json'?"),
                (["--promt", "x"], "did you mean '--prompt'?")):
            self.assertIn(what, self.refusal("-p", "hello", *flags, code=2))

    def test_of_what_it_cannot_read(self):
        latin = self.file("latin.txt", b"caf\xe9\n")
        for flags, what in (
                (["-f", "missing.txt"], "missing.txt: cannot open: No such file"),
                (["-f", self.folder], "cannot read: Is a directory"),
                (["-f", latin], "latin.txt: not UTF-8: byte 0xE9 at offset 3"),
                (["-p", b"\xff".decode(errors="surrogateescape")], "--prompt: not UTF-8: byte 0xFF at offset 0"),
                ([], "nothing to answer"),
                (["-p", "x", "--system", b"\xff".decode(errors="surrogateescape")], "--system: not UTF-8"),
                (["-p", "x", "--ledger", "trace=missing/x.json"], "the folder 'missing' does not exist; make it first"),
                (["-p", "x", "--ctx", "2049"], "trained for 2048 tokens"),
                (["-p", "x", "--compress-after", "document"], "there is no document"),
                (["-p", "x", "--chat-template", "qwne"], "neither a file nor a known name"),
                (["-p", "x", "--grammar", self.file("no_root.gbnf", 'a ::= "x"')], "no rule 'root'"),
                (["-p", "x", "--grammar", self.file("deep.gbnf", "root ::= " + "(" * 65 + '"x"' + ")" * 65)], "64 deep"),
                (["-p", "x", "--grammar", self.file("long.gbnf", "#" * 65537)], "larger than 65536 bytes")):
            self.assertIn(what, self.refusal(*flags, code=1))

    def test_of_a_budget_that_is_too_small_names_the_smallest(self):
        question = ["-p", "x" * 300, "--kv"]
        least = re.search(r"smallest budget here is (\d+)", self.refusal(*question, "cake:budget=1KiB", code=1))[1]
        self.run_model(*question, f"cake:budget={int(least) / 1024}KiB")
        self.refusal(*question, f"cake:budget={(int(least) - 1) / 1024}KiB", code=1)

    def test_what_always_stays_has_its_place(self):
        question = ["-p", "x" * 300, "--ledger", "json", "-q", "--kv"]
        for policy, n_least in (("streaming:budget=1%", 32 + 4 + 1), ("streaming:budget=1%,sink=64", 32 + 64 + 1),
                                ("cake:budget=3%,sink=64,min=100", 32 + 100), ("cake:budget=3%", 32 + 1)):
            kept = json.loads(self.run_model(*question, policy).stderr)["kv_layers"]
            self.assertEqual(sum(row["n_entries_kept"] for row in kept), 3 * n_least, policy)
        entry = int(self.least_bytes("cake:budget=1KiB")) / 33
        for policy, n_least in (("streaming:budget=1KiB,sink=64", 97), ("cake:budget=1KiB,sink=4,min=50", 82)):
            self.assertEqual(self.least_bytes(policy), entry * n_least, policy)
        self.assertIn("turns=each", self.refusal("-p", "x", "--kv", "cake:turns=each,budget=1MiB", code=2))

    def least_bytes(self, policy):
        refusal = self.refusal("-p", "x" * 300, "--kv", policy, code=1)
        return int(re.search(r"smallest budget here is (\d+)", refusal)[1])

    def test_of_what_is_no_model(self):
        whole = self.model.read_bytes()
        for name, data, what in (
                ("cut.gguf", whole[:-1], "ends beyond the file"),
                ("foreign.gguf", b"PK\x03\x04" + whole, "is no GGUF file"),
                ("empty.gguf", b"", "the file is empty"),
                ("later.gguf", whole[:4] + b"\x09" + whole[5:], "GGUF version 9 is not known")):
            for verb in (["run", "-p", "x"], ["chat"], ["info"], ["eval", "ppl", "-f", SOURCE / "LICENSE"], ["bench", "kv"]):
                done = self.program(*verb, "-q", self.file(name, data), code=1)
                self.assertIn(what, done.stderr)
                self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1), done.stderr)

    def test_of_a_bad_policy_by_every_verb(self):
        for verb in (["chat", self.model], ["eval", "ppl", self.model, "-f", SOURCE / "LICENSE"],
                     ["eval", "recall", self.model], ["bench", "kv", self.model]):
            self.assertIn("did you mean 'cake'?", self.program(*verb, "--kv", "caek", code=2).stderr)


class Endings(RunTest):
    def start(self, *arguments):
        return subprocess.Popen([PROGRAM, "run", self.model, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_a_full_disk_is_no_success(self):
        document = self.file("text.txt", "x" * 300)
        for command in (["run", self.model, "-p", "x"], ["policies"], ["list"], ["info", self.model], ["--help"],
                        ["eval", "ppl", self.model, "-f", document, "--ctx", "64"]):
            with open("/dev/full", "w") as full:
                stderr = self.program(*command, "-q", code=1, stdout=full).stderr
            self.assertEqual(stderr, "reprise: standard output cannot be written: No space left on device\n")

    def test_an_interrupt_while_it_reads(self):
        run = self.start("-p", "x" * 1700, "--max-tokens", "300")
        self.assertIn("--weights auto: ", run.stderr.readline())
        self.assertIn("reading the prompt", run.stderr.readline())
        run.send_signal(signal.SIGINT)
        _, stderr = run.communicate(timeout=TIMEOUT_S)
        self.assertEqual(run.returncode, 130, stderr)

    def test_an_interrupt_keeps_what_was_answered(self):
        trace = self.folder / "interrupted.json"
        run = self.start("-p", "x", "--max-tokens", "1900", "--ledger", f"trace={trace}")
        first = run.stdout.read(1)
        run.send_signal(signal.SIGINT)
        rest, stderr = run.communicate(timeout=TIMEOUT_S)
        self.assertEqual(run.returncode, 130, stderr)
        self.assertRegex(first + rest, r"^[ -~]+\n$")
        self.assertTrue(json.loads(trace.read_text())["traceEvents"])

    def test_a_model_that_shrinks_ends_in_one_line(self):
        model = self.file("shrinking.gguf", self.model.read_bytes())
        run = subprocess.Popen([PROGRAM, "run", model, "-q", "-p", "x", "--max-tokens", "1900", "--mmap", "on"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        run.stdout.read(1)
        os.truncate(model, 0)
        _, stderr = run.communicate(timeout=TIMEOUT_S)
        self.assertEqual(run.returncode, 1)
        self.assertRegex(stderr, r"^reprise: \S*shrinking\.gguf: changed or shrank while it was read; fetch it again\n$")


class Help(RunTest):
    def verbs(self, *above):
        text = self.program(*above, "--help").stdout
        if "Subcommands:" not in text:
            yield above, text
            return
        for verb in re.findall(r"^  ([a-z]+) ", text.split("Subcommands:")[1].split("\n\n")[0], re.MULTILINE):
            yield from self.verbs(*above, verb)

    def test_every_verb_has_two_examples_of_files_that_are_here(self):
        verbs = list(self.verbs())
        self.assertIn(("eval", "ppl"), [verb for verb, _ in verbs])
        for verb, text in verbs:
            examples = re.findall(r"^  reprise (.*)$", text.split("Examples:")[1], re.MULTILINE)
            self.assertEqual(len(examples), 2, verb)
            for example in examples:
                self.assertTrue(example.startswith(" ".join(verb)), example)
                for path in re.findall(r"-f (\S+)", example):
                    self.assertTrue((SOURCE / path).is_file(), example)


if __name__ == "__main__":
    unittest.main()
