#!/usr/bin/env python3
"""Breaks things while `hearth` works, and prints a table of what became of each run.

  tests/faults/faults.py build/release/bin/hearth            every fault, about two minutes
  tests/faults/faults.py build/release/bin/hearth truncated  only those whose name contains the word

Every row has to end as documented: with the exit code and the words expected, and with a run that goes on to the same weights as one that nothing
happened to, where it can. A fault that cannot be tried here (no root for a small file system) is marked as skipped. Exit code 1 if a row fails.
"""
import argparse
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECIPE = f"""schema = 1
name = "tiny"
extends = ["{ROOT}/recipes/base/phantom-tiny.toml"]
[data]
size = 32
workers = 1
[networks.student]
backbone = {{ patch = 8, dim = 48, depth = 1, heads = 3 }}
[networks.student.heads]
project = {{ out = 8, hidden = 32, bottleneck = 16 }}
restore = {{ depth = 1, width = 32, heads = 2 }}
[train]
epochs = 6
batch = 8
threads = 1
precision = "fp32"
log_every = 1
[optimizer]
lr = {{ warmup = 0 }}
[probe]
every = 0
"""


class Skipped(Exception):
    pass


class Bench:
    """A folder with the recipe and forty films, and the run that nothing happens to."""

    def __init__(self, hearth, folder):
        self.hearth, self.folder = hearth, pathlib.Path(folder)
        (self.folder / "tiny.toml").write_text(RECIPE)
        self.must(["data", "phantom", "--out", "films", "-n", "40", "--size", "32"])
        self.must(self.train("calm"))

    def train(self, out, *more):
        return ["train", "tiny.toml", "--no-report", "data.source=films/manifest.csv", "data.where=", "--out", str(out), *more]

    def environment(self):
        return {**os.environ, "OMP_NUM_THREADS": "1", "XDG_DATA_HOME": "/nonexistent", "XDG_CACHE_HOME": str(self.folder / "cache")}

    def run(self, words, timeout=300):
        done = subprocess.run([self.hearth, *words], cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=timeout)
        return done.returncode, done.stderr

    def must(self, words):
        code, err = self.run(words)
        if code != 0:
            sys.exit(f"hearth {' '.join(words)} ended with {code}:\n{err}")

    def start(self, words):
        return subprocess.Popen([self.hearth, "--quiet", *words], cwd=self.folder, env=self.environment(), stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)

    def last(self, run, name="last"):
        return self.folder / run / "checkpoints" / f"{name}.safetensors"

    def same_weights(self, run):
        """The tensors of both checkpoints, whatever their metadata."""
        def data(file):
            raw = file.read_bytes()
            return raw[8 + int.from_bytes(raw[:8], "little"):]
        return data(self.last(run)) == data(self.last("calm"))

    def half_way(self, run):
        """A run that stopped after some epochs, with two checkpoints."""
        process = self.start(self.train(run))
        while not self.last(run, "previous").exists():
            if process.poll() is not None:
                sys.exit(f"the run ended with {process.returncode} before it could be stopped: {process.stderr.read()}")
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        process.wait()

    def goes_on(self, run, words=()):
        code, err = self.run([*self.train(run), "--resume"])
        for word in words:
            assert word in err, f"{word!r} is not in: {err}"
        assert code == 0, f"resume ended with {code}: {err}"
        assert self.same_weights(run), "the weights are not those of the run that nothing happened to"
        return "goes on to the same weights"


@contextlib.contextmanager
def small_disk(folder, kib):
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", folder], capture_output=True).returncode != 0:
        raise Skipped("cannot mount a small file system (not root?)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder])


def full_disk(bench):
    """disk full while a checkpoint is written"""
    size = bench.last("calm").stat().st_size // 1024
    with small_disk(bench.folder / "small", int(1.6 * size) + 300) as disk:
        code, err = bench.run(bench.train(disk / "run"))
        assert code == 3 and "No space left" in err, f"{code}: {err}"
        assert bench.last("small/run").exists(), "the checkpoint before it is gone"
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        return "exit code 3, " + bench.goes_on("small/run")


def truncated(bench):
    """newest checkpoint truncated"""
    bench.half_way("truncated")
    os.truncate(bench.last("truncated"), bench.last("truncated").stat().st_size // 2)
    return bench.goes_on("truncated", ["cut short", "previous.safetensors"])


def flipped(bench):
    """one bit of the newest checkpoint flipped"""
    bench.half_way("flipped")
    raw = bytearray(bench.last("flipped").read_bytes())
    raw[-1234] ^= 4
    bench.last("flipped").write_bytes(raw)
    return bench.goes_on("flipped", ["checksum", "previous.safetensors"])


def both_gone(bench):
    """both checkpoints damaged"""
    bench.half_way("both")
    for name in ("last", "previous"):
        os.truncate(bench.last("both", name), 1000)
    code, err = bench.run([*bench.train("both"), "--resume"])
    assert code == 3 and "previous.safetensors" in err, f"{code}: {err}"
    return "exit code 3, names the file"


def vanished(bench):
    """data file vanishes during the run"""
    film = next((bench.folder / "films").rglob("*7.png"))
    process = bench.start(bench.train("vanished", "train.epochs=60", "data.cache=none", "data.max_bad=0.2"))
    while not bench.last("vanished").exists():
        time.sleep(0.005)
    hidden = film.rename(film.with_suffix(".hidden"))
    process.wait()
    hidden.rename(film)
    listed = json.loads((bench.folder / "vanished/quarantine.json").read_text())
    assert process.returncode == 0 and len(listed) == 1 and film.name in listed[0]["file"], process.stderr.read()
    return "goes on, quarantine.json names it"


def edited(bench):
    """manifest edited while the run goes"""
    manifest = bench.folder / "films/manifest.csv"
    before = manifest.read_text()
    bench.half_way("edited")
    lines = before.splitlines()
    lines[1], lines[2] = lines[2], lines[1]
    manifest.write_text("\n".join(lines) + "\n")
    code, err = bench.run([*bench.train("edited"), "--resume"])
    manifest.write_text(before)
    assert code == 3 and "the manifest, the folder or the filter changed" in err, f"{code}: {err}"
    return "resume refused with exit code 3; put back, " + bench.goes_on("edited")


def killed(bench):
    """SIGKILL at eight random moments"""
    draw = random.Random(5)
    words = bench.train("killed")
    for _ in range(8):
        process = bench.start(words)
        time.sleep(draw.uniform(0.05, 2.5))
        process.kill()
        process.wait()
        there = (bench.folder / "killed/run.json").exists()
        words = [*bench.train("killed"), *(["--resume"] if there else [])]
    if not (bench.folder / "killed/run.json").exists():
        bench.must(bench.train("killed"))
    return bench.goes_on("killed")


def killed_sweep(bench):
    """SIGKILL of a sweep"""
    words = ["sweep", "tiny.toml", "data.source=films/manifest.csv", "data.where=", "train.epochs=500", "--out", "sweep"]
    run = bench.folder / "sweep/tiny/seed-0/run.json"
    process = bench.start(words)
    while not (run.parent / "metrics.jsonl").exists() or process.poll() is not None:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.kill()
    process.wait()
    until = time.monotonic() + 30
    while (status := json.loads(run.read_text())["status"]) == "running" and time.monotonic() < until:
        time.sleep(0.05)
    assert status == "stopped", f"the run that the sweep had started is {status}"
    return "its run writes a checkpoint and stops"


def two_writers(bench):
    """two processes write one run"""
    process = bench.start(bench.train("twice", "train.epochs=200"))
    while not (bench.folder / "twice/run.json").exists():
        time.sleep(0.005)
    code, err = bench.run([*bench.train("twice"), "--overwrite"])
    process.terminate()
    process.wait()
    assert code == 2 and "another process writes this run" in err, f"{code}: {err}"
    return "the second is refused with exit code 2"


def memory(bench):
    """out of memory"""
    words = bench.train("memory", "train.batch=40", "data.size=512", "networks.student.backbone.patch=8", "data.cache=none")
    limited = subprocess.run(["sh", "-c", 'ulimit -v 6000000; exec "$@"', "sh", bench.hearth, *words], cwd=bench.folder, env=bench.environment(),
                             capture_output=True, text=True)
    assert limited.returncode == 6 and "train.batch" in limited.stderr, f"{limited.returncode}: {limited.stderr[-500:]}"
    return "exit code 6, says what to lower"


def not_a_number(bench):
    """not-a-number in a loss"""
    code, err = bench.run(bench.train("nan", "optimizer.lr=1000", "optimizer.lr_batch=0", "optimizer.clip=0"))
    assert code == 5 and "the first that is not finite is" in err and "not-a-number.safetensors" in err, f"{code}: {err}"
    assert (bench.folder / "nan/not-a-number.safetensors").stat().st_size > 1000
    return "exit code 5, names the first component, keeps batch and weights"


def damaged_cache(bench):
    """packed cache damaged"""
    words = bench.train("packed", "data.cache=packed", "data.max_bad=0.2")
    bench.must(words)
    (packed,) = (bench.folder / "cache/hearth").glob("packed-*[0-9a-f]")
    raw = bytearray(packed.read_bytes())
    raw[-1] ^= 1
    packed.write_bytes(raw)
    bench.must([*words, "--overwrite"])
    (bad,) = json.loads((bench.folder / "packed/quarantine.json").read_text())
    assert "checksum" in bad["reason"], bad
    os.truncate(packed, len(raw) // 2)
    bench.must([*words, "--overwrite"])
    assert not (bench.folder / "packed/quarantine.json").exists()
    return "a flipped bit: that image is set aside; cut short: made anew"


FAULTS = [full_disk, truncated, flipped, both_gone, vanished, edited, killed, killed_sweep, two_writers, memory, not_a_number, damaged_cache]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hearth")
    parser.add_argument("only", nargs="?", default="")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="hearth-faults-")
    failed = False
    try:
        bench = Bench(os.path.abspath(args.hearth), folder)
        print("| fault | | what became of it |\n| --- | --- | --- |", flush=True)
        for fault in FAULTS:
            if args.only not in fault.__name__:
                continue
            try:
                verdict, text = "survived", fault(bench)
            except Skipped as reason:
                verdict, text = "skipped", str(reason)
            except AssertionError as reason:
                verdict, text, failed = "FAILED", str(reason).replace("\n", " ")[:400], True
            print(f"| {fault.__doc__} | {verdict} | {text} |", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
