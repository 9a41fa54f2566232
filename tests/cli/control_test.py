#!/usr/bin/env python3
"""`reprise control` with the robot policy that comes with the program: what it prints, writes, shows and refuses.

REPRISE_PROGRAM names the program; CMake sets it.
"""

import fcntl
import json
import os
import pathlib
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest

PROGRAM = os.environ["REPRISE_PROGRAM"]
SOURCE = pathlib.Path(__file__).parents[2]
MODEL = SOURCE / "models" / "pusht" / "pusht-demo.gguf"
TIMEOUT_S = 120
QUICK = {"--sampler": "ddim:steps=4", "--steps": "20", "--threads": "1"}  # no good driving
# An episode whose score soon depends on how it is driven.
CLOSE = ["--first-seed", "100007", "--steps", "60"]


class ControlTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def program(self, *arguments, code=0, env=None):
        done = subprocess.run([PROGRAM, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=TIMEOUT_S, env=os.environ | (env or {}))
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stderr}")
        return done

    def control(self, *arguments, **how):
        quick = [word for flag, value in QUICK.items() if flag not in arguments for word in (flag, value)]
        return self.program("control", MODEL, *quick, *arguments, **how)

    def facts(self, *arguments):
        return json.loads(self.control("-q", "--ledger", "json", *arguments).stderr)["facts"]


class Scores(ControlTest):
    def test_are_alone_on_standard_output(self):
        done = self.control("--seeds", "3")
        lines = done.stdout.splitlines()
        self.assertRegex(lines[0], r"^seed +score +success +steps$")
        self.assertEqual([line.split()[0] for line in lines[1:]], ["100000", "100001", "100002", "mean"])
        for line in lines[1:4]:
            self.assertRegex(line, r"^\d+ +[01]\.\d{3} +(yes|no) +20$")
        self.assertRegex(lines[4], r"^mean +0\.\d{3} ± 0\.\d{3} +0\.000 ± 0\.000 +20\.0$")
        self.assertIn("policy ddim:steps=4 full", done.stderr)

    def test_are_the_same_with_the_same_seeds_and_any_threads(self):
        first = self.control("--seeds", "2", *CLOSE).stdout
        self.assertEqual(first, self.control("--seeds", "2", *CLOSE).stdout)
        self.assertEqual(first, self.control("--seeds", "2", *CLOSE, "--threads", "2").stdout)

    def test_of_exact_are_those_of_full(self):
        exact = self.control("--seeds", "1", *CLOSE, "--branch", "uniform:every=2", "--exact").stdout
        self.assertEqual(exact, self.control("--seeds", "1", *CLOSE).stdout)
        self.assertNotEqual(exact, self.control("--seeds", "1", *CLOSE, "--branch", "uniform:every=2").stdout)

    def test_go_into_json(self):
        path = self.folder / "a.json"
        self.control("--seeds", "2", "--branch", "uniform:every=2", "--json", path)
        numbers = json.loads(path.read_text())
        self.assertEqual(numbers["branch"], "uniform:every=2")
        self.assertEqual(numbers["sampler"], "ddim:steps=4")
        self.assertEqual([episode["seed"] for episode in numbers["episodes"]], [100000, 100001])
        scores = [episode["score"] for episode in numbers["episodes"]]
        self.assertAlmostEqual(numbers["score"]["mean"], sum(scores) / 2)
        self.assertAlmostEqual(numbers["score"]["standard_error"], abs(scores[0] - scores[1]) / 2)
        units = {unit["name"]: unit for unit in numbers["ledger"]["units"]}
        self.assertEqual(units["action"]["computed"], 40)
        self.assertEqual(units["chunk"]["computed"], 6)  # 20 steps in chunks of 8
        self.assertGreater(units["branch"]["reused"], 0)

    def test_of_the_published_protocol_show_a_policy_that_pushes(self):
        done = self.program("control", MODEL, "--seeds", "2", "--json", self.folder / "a.json")
        self.assertIn("ddpm full", done.stderr)
        numbers = json.loads((self.folder / "a.json").read_text())
        # Who stays at the start scores 0 with the first seed and 0.18 with the second.
        self.assertGreater(numbers["score"]["mean"], 0.5)


class Modes(ControlTest):
    def test_of_simulated_time_are_deterministic(self):
        for mode in ("async", "async+inpaint"):
            first = self.control("--seeds", "1", *CLOSE, "--mode", mode, "--latency-steps", "3").stdout
            self.assertEqual(
                first, self.control("--seeds", "1", *CLOSE, "--mode", mode, "--latency-steps", "3").stdout)
            self.assertNotEqual(first, self.control("--seeds", "1", *CLOSE).stdout)

    def test_say_what_the_loop_did(self):
        facts = self.facts("--seeds", "1")
        self.assertEqual(facts["n_ticks"], 20)
        self.assertEqual(facts["n_underruns"], 0)
        self.assertEqual(facts["n_stale"], 0)
        self.assertAlmostEqual(facts["actions_per_s"], 10)
        self.assertAlmostEqual(facts["elapsed_s"], 2)
        facts = self.facts("--seeds", "1", "--mode", "async", "--latency-steps", "3")
        self.assertEqual(facts["n_underruns"], 0)
        self.assertAlmostEqual(facts["chunk_p50_s"], 0.25)
        self.assertEqual(facts["n_stale"], 6)  # three of the second chunk and of the third

    def test_in_real_time_take_as_long_as_they_take(self):
        start = time.monotonic()
        facts = self.facts("--seeds", "1", "--realtime", "--mode", "async", "--rate", "20")
        self.assertGreaterEqual(time.monotonic() - start, 1)
        self.assertEqual(facts["n_ticks"], 20)
        self.assertGreaterEqual(facts["elapsed_s"], 1)
        self.assertGreaterEqual(facts["tick_late_p50_s"], 0)

    def test_are_in_the_trace(self):
        trace = self.folder / "trace.json"
        self.control("--seeds", "2", "--ledger", f"trace={trace}")
        names = [event["name"] for event in json.loads(trace.read_text())["traceEvents"]]
        self.assertEqual(names, ["model", "seed 100000", "seed 100001"])


class Verify(ControlTest):
    def verified(self, *arguments):
        path = self.folder / "verified.json"
        done = self.control("--seeds", "2", *CLOSE, *arguments, "--ledger", "verify", "--json", path)
        return done, json.loads(path.read_text())

    def test_drives_the_same_episodes_with_exact(self):
        done, numbers = self.verified("--branch", "uniform:every=2")
        other = self.folder / "exact.json"
        self.control("--seeds", "2", *CLOSE, "--exact", "--json", other)
        exact = json.loads(other.read_text())
        found = numbers["verify"]
        self.assertEqual(found["exact_episodes"], exact["episodes"])
        self.assertEqual(found["score"], exact["score"])
        self.assertAlmostEqual(found["score_difference"]["mean"], numbers["score"]["mean"] - exact["score"]["mean"])
        self.assertNotEqual(found["score_difference"]["mean"], 0)
        self.assertGreater(found["action_rmse_px"], 0)
        self.assertRegex(done.stderr, r"(?m)^verify: --exact takes .* a chunk, .* solves 0 of 2 .* differ by [0-9.]+ px$")
        # What it says of itself is unchanged.
        self.assertEqual(done.stdout, self.control("--seeds", "2", *CLOSE, "--branch", "uniform:every=2").stdout)

    def test_finds_no_difference_where_there_is_none(self):
        for mode in (["--mode", "sync"], ["--mode", "async+inpaint", "--latency-steps", "3"]):
            _, numbers = self.verified(*mode)
            self.assertEqual(numbers["verify"]["score_difference"], {"mean": 0, "standard_error": 0})
            self.assertEqual(numbers["verify"]["action_rmse_px"], 0)
            self.assertEqual(numbers["verify"]["exact_episodes"], numbers["episodes"])


def with_wider_observations(source, target, factor):
    """A copy of a policy's GGUF whose normaliser makes all observations `factor` times as large."""
    data = bytearray(source.read_bytes())
    name = b"norm.obs.scale"
    at = data.index(struct.pack("<Q", len(name)) + name)
    wanted = None
    while 0 < struct.unpack_from("<Q", data, at)[0] < 100:  # entries of the tensor list, up to its end
        end = at + 8 + struct.unpack_from("<Q", data, at)[0]
        n_dims, = struct.unpack_from("<I", data, end)
        shape = struct.unpack_from(f"<{n_dims}Q", data, end + 4)
        offset, = struct.unpack_from("<Q", data, end + 8 + 8 * n_dims)
        if wanted is None:
            wanted = (shape[0], offset)
        at = end + 16 + 8 * n_dims
    begin = (at + 31) // 32 * 32 + wanted[1]
    scale = struct.unpack_from(f"<{wanted[0]}f", data, begin)
    assert all(0 < s < 0.1 for s in scale), scale  # 2 over the pixels that training has seen
    struct.pack_into(f"<{wanted[0]}f", data, begin, *(s * factor for s in scale))
    target.write_bytes(data)
    return target


class Observations(ControlTest):
    def test_far_outside_of_the_training_are_told_once(self):
        usual = self.control("--seeds", "1").stderr
        self.assertNotIn("outside", usual)
        strange = with_wider_observations(MODEL, self.folder / "strange.gguf", 100)
        for verb in (["control", strange, "--steps", "20", "--sampler", "ddim:steps=4", "--seeds", "2"],
                     ["eval", "pusht", strange, "--steps", "20", "--sampler", "ddim:steps=4", "--seeds", "2", "--observations", "1"]):
            told = [line for line in self.program(*verb).stderr.splitlines() if "outside [-1.5, 1.5]" in line]
            self.assertEqual(len(told), 1, told)
            self.assertRegex(told[0], r"[0-9,]+ numbers of observations")
            quiet = self.program(*verb, "-q").stderr
            self.assertNotIn("outside", quiet)


@unittest.skipUnless((pathlib.Path(PROGRAM).parent / "reprise_video.so").exists(), "built without media")
class Pictures(ControlTest):
    def test_video_plays(self):
        for name in ("a.mp4", "a.webm"):
            done = self.control("--seeds", "2", "--video", self.folder / name)
            self.assertIn(f"{name}: 50 pictures", done.stderr)  # each end stays for half a second
            if shutil.which("ffprobe"):
                shown = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-show_entries",
                                        "stream=codec_name,width,height,pix_fmt,nb_read_frames,avg_frame_rate", "-of",
                                        "json", self.folder / name], capture_output=True, text=True, check=True)
                stream = json.loads(shown.stdout)["streams"][0]
                self.assertEqual(stream, stream | {"codec_name": "vp9", "width": 512, "height": 576,
                                                   "pix_fmt": "yuv420p", "nb_read_frames": "50"})
        head = (self.folder / "a.mp4").read_bytes()
        self.assertEqual(head[4:8], b"ftyp")
        self.assertLess(head.index(b"moov"), head.index(b"mdat"))
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["a.mp4", "a.webm"])

    def test_frames_are_png_files(self):
        self.control("--seeds", "1", "--frames", self.folder / "new" / "frames")
        names = sorted(path.name for path in (self.folder / "new" / "frames").iterdir())
        self.assertEqual(names, [f"100000-{i:03}.png" for i in range(1, 21)])
        data = (self.folder / "new" / "frames" / names[0]).read_bytes()
        self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(struct.unpack(">II", data[16:24]), (512, 576))

    def test_do_not_change_what_happens(self):
        plain = self.control("--seeds", "1").stdout
        self.assertEqual(plain, self.control("--seeds", "1", "--watch", "--frames", self.folder).stdout)

    def test_watched_in_a_pipe_are_lines_of_text(self):
        done = self.control("--seeds", "1", "--watch", "--ledger", "off")
        lines = [line for line in done.stderr.splitlines() if line.startswith("seed 100000 · step ")]
        self.assertEqual(len(lines), 20)
        self.assertRegex(lines[0], r"^seed 100000 · step 1 · chunk 1 · score 0\.\d\d \(best 0\.\d\d\) · full")
        self.assertNotIn("\x1b", done.stderr)

    def watched_on_a_terminal(self, env):
        terminal, program_side = pty.openpty()
        fcntl.ioctl(program_side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        run = subprocess.Popen([PROGRAM, "control", MODEL, "--steps", "20", "--sampler", "ddim:steps=4", "--seeds", "1", "--watch", "--ledger", "off"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=program_side,
                               env=os.environ | {"TERM": "xterm-256color"} | env)
        os.close(program_side)
        shown = b""
        while True:
            try:
                part = os.read(terminal, 1 << 16)
            except OSError:  # what Linux says at the end
                break
            if not part:
                break
            shown += part
        os.close(terminal)
        self.assertEqual(run.wait(TIMEOUT_S), 0)
        return shown.decode()

    def test_watched_on_a_terminal_are_drawn_over_each_other(self):
        shown = self.watched_on_a_terminal({"COLORTERM": "truecolor", "NO_COLOR": ""})
        self.assertEqual(shown.count("\x1b[23A"), 20)  # 22 lines of 44 pixels, and one of text
        self.assertIn("38;2;0;114;178", shown)  # the agent
        self.assertIn("▀", shown)
        last = shown.split("\x1b[J")[-1]
        self.assertTrue(last.startswith("seed 100000 · step 20"), last)

    def test_watched_take_256_colours_or_none_where_asked(self):
        shown = self.watched_on_a_terminal({"COLORTERM": "", "NO_COLOR": ""})
        self.assertIn("38;5;", shown)
        self.assertNotIn("38;2;", shown)
        shown = self.watched_on_a_terminal({"NO_COLOR": "1"})
        self.assertNotIn("▀", shown)
        self.assertNotIn("\x1b", shown)


class Refusals(ControlTest):
    def refusal(self, *arguments, code=1, **how):
        done = self.program(*arguments, code=code, **how)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        return done.stderr

    def test_say_what_is_wrong_with_flags(self):
        for arguments, part in [
                (["--branch", "uniforme"], "did you mean 'uniform'"),
                (["--branch", "uniform:evry=2"], "did you mean 'every'"),
                (["--sampler", "ddim:steps=101"], "100"),
                (["--sampler", "euler"], "ddim:steps=N"),
                (["--mode", "asynch"], "did you mean 'async'"),
                (["--latency-steps", "2"], "--mode async"),
                (["--mode", "async", "--latency-steps", "8"], "0 to 7"),
                (["--rate", "-1"], "--rate"),
                (["--rate", "0"], "--rate"),
                (["--env", "kitchen"], "pusht"),
                (["--seeds", "0"], "--seeds"),
                (["--first-seed", "4294967290"], "32 bits")]:
            self.assertIn(part, self.refusal("control", MODEL, *arguments, code=2))

    def test_say_what_is_wrong_with_models(self):
        self.assertIn("dllm", self.refusal("control", SOURCE / "models/dllm/dllm-demo.Q8_0.gguf"))
        self.assertIn("did you mean", self.refusal("control", "pusht-demos"))

    def test_name_the_calibrate_command(self):
        alone = self.folder / "alone.gguf"
        shutil.copy(MODEL, alone)
        told = self.refusal("control", alone, "--branch", "bac", env={"XDG_DATA_HOME": str(self.folder)})
        # By its path: the name within the file finds another one.
        self.assertIn(f"reprise calibrate {alone} --sampler ddpm", told)
        told = self.refusal("control", "pusht-demo", "--branch", "bac", "--sampler", "ddim:steps=7")
        self.assertIn("reprise calibrate pusht-demo --sampler ddim:steps=7", told)

    def test_name_a_calibrate_command_that_helps(self):
        """The command of a refusal, copied into a shell, makes the same line run, and destroys no calibration."""
        place = self.folder / "my models"
        place.mkdir()
        alone = place / "alone.gguf"
        shutil.copy(MODEL, alone)
        shutil.copy(MODEL.with_suffix(".branch.gguf"), place / "alone.branch.gguf")
        home = {"XDG_DATA_HOME": str(self.folder)}
        ddpm = (place / "alone.branch.gguf").read_bytes()
        for arguments in (["--branch", "bac:updates=2", "--sampler", "ddim:steps=4"],
                          ["--branch", "bac:updates=2,metric=l1", "--sampler", "ddim:steps=4"],
                          ["--branch", f"bac:updates=2,metric=mse,file={place / 'own.gguf'}", "--sampler", "ddim:steps=4"],
                          ["--branch", f"bac:updates=2,metric=l2,file={place / 'own.gguf'}", "--sampler", "ddim:steps=4"]):
            told = self.refusal("control", alone, *arguments, env=home)
            words = shlex.split(told[told.index("reprise calibrate"):])
            self.assertIn(str(alone), words)
            self.program(*words[1:], "--calls", "1", "-q", env=home)
            self.program("control", alone, *arguments, "--seeds", "1", "--steps", "1", "-q", env=home)
        self.assertEqual((place / "alone.branch.gguf").read_bytes(), ddpm)
        self.assertEqual(sorted(path.name for path in place.iterdir()),
                         ["alone.branch.gguf", "alone.ddim-steps-4.branch.gguf", "alone.gguf", "own.gguf"])
        # What was measured before the last metric is still there.
        self.program("control", alone, "--branch", f"bac:updates=2,metric=mse,file={place / 'own.gguf'}", "--sampler",
                     "ddim:steps=4", "--seeds", "1", "--steps", "1", "-q", env=home)
        told = self.refusal("control", alone, "--branch", f"bac:file={alone}", env=home)
        self.assertTrue(told.rstrip().endswith(f"leave file= out and run: reprise calibrate '{alone}' --sampler ddpm"), told)

    def test_say_what_a_program_without_media_lacks(self):
        if (pathlib.Path(PROGRAM).parent / "reprise_video.so").exists():
            self.skipTest("this one has it")
        for arguments in (["--video", self.folder / "a.mp4"], ["--frames", self.folder, "--steps", "1"]):
            self.assertIn("REPRISE_MEDIA=ON", self.program("control", MODEL, "-q", "--seeds", "1", *arguments, code=1).stderr)

    def test_come_before_the_driving(self):
        none = self.folder / "none"
        for arguments, part in [(["--video", none / "a.mp4"], "No such file"),
                                (["--video", self.folder / "a.avi"], ".mp4 or .webm"),
                                (["--frames", "/proc/none"], "/proc/none"),
                                (["--json", none / "a.json"], "none")]:
            self.assertIn(part, self.refusal("control", MODEL, *arguments))
        self.assertEqual(list(self.folder.iterdir()), [])


class Failures(ControlTest):
    @unittest.skipUnless((pathlib.Path(PROGRAM).parent / "reprise_video.so").exists(), "built without media")
    def test_keep_the_episodes_before(self):
        frames, video, numbers = (self.folder / name for name in ("frames", "a.mp4", "a.json"))
        (frames / "100001-001.png").mkdir(parents=True)  # where the second episode's first picture would go
        done = self.control("--seeds", "3", "--frames", frames, "--video", video, "--json", numbers, code=1)
        self.assertIn("100001-001.png", done.stderr)
        self.assertRegex(done.stdout, r"(?m)^100000 +0\.\d{3} ")
        self.assertNotRegex(done.stdout, r"(?m)^10000[12] ")
        written = json.loads(numbers.read_text())
        self.assertEqual([episode["seed"] for episode in written["episodes"]], [100000])
        self.assertGreater({unit["name"]: unit for unit in written["ledger"]["units"]}["action"]["computed"], 20)
        self.assertTrue(video.exists())


class Interrupts(ControlTest):
    @unittest.skipUnless((pathlib.Path(PROGRAM).parent / "reprise_video.so").exists(), "built without media")
    def test_keep_what_is_whole(self):
        video = self.folder / "a.mp4"
        run = subprocess.Popen([PROGRAM, "control", MODEL, "--sampler", "ddim:steps=4", "--seeds", "1000", "--realtime",
                                "--mode", "async", "--rate", "100", "--video", video, "--watch"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in run.stderr:
            if line.startswith("seed 100001 · step 50 "):
                break
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=TIMEOUT_S)
        self.assertEqual(run.returncode, 130, err)
        self.assertRegex(out, r"(?m)^100000 +0\.\d{3} ")
        self.assertNotRegex(out, r"(?m)^100001 ")  # it is not over
        self.assertEqual([path.name for path in self.folder.iterdir()], ["a.mp4"])
        self.assertTrue(re.search(r"\d+ pictures", err))


if __name__ == "__main__":
    unittest.main()
