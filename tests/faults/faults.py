#!/usr/bin/env python3
"""Breaks things while `hearth` works, and prints a table of what became of each run.

  tests/faults/faults.py build/release/bin/hearth            every fault, some minutes
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

# Trainings of several phases and stages, of a fit at each epoch, and of one at the end. The fits take long enough to be killed in.
PHASES = f"""schema = 1
name = "phases"
extends = ["{ROOT}/recipes/baselines/f-anogan.toml"]
[data]
source = "phantom"
phantom_count = 48
size = 32
workers = 1
[networks.generator.heads]
make = {{ size = 32, width = 2 }}
[networks.critic]
backbone = {{ width = 2 }}
[networks.encoder]
backbone = {{ width = 2, out = 16 }}
[[head]]
use = "noise"
name = "z"
size = 16
[[phase]]
name = "critic"
repeat = 2
[[stage]]
name = "gan"
train.epochs = 4
[[stage]]
name = "encoder"
train.epochs = 3
[train]
batch = 4
threads = 1
log_every = 1
"""
CLUSTERS = f"""schema = 1
name = "clusters"
extends = ["{ROOT}/recipes/baselines/pcl.toml"]
[data]
source = "phantom"
phantom_count = 48
size = 32
workers = 1
[[augment]]
use = "two-view"
size = 32
[networks.student]
backbone = {{ patch = 8, dim = 48, depth = 1, heads = 3 }}
[networks.student.heads]
project = {{ out = 16 }}
[[loss]]
use = "info-nce"
queue = 20
[[loss]]
use = "proto-nce"
clusters = [4, 8]
negatives = 4
start_epoch = 1
restarts = 1000
[train]
epochs = 5
batch = 8
threads = 1
precision = "fp32"
log_every = 1
"""
DENSITY = f"""schema = 1
name = "density"
extends = ["{ROOT}/recipes/baselines/cutpaste.toml"]
[data]
source = "phantom"
phantom_count = 320
size = 32
workers = 1
[train]
epochs = 1
batch = 40
threads = 1
precision = "fp32"
log_every = 1
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


class Training:
    """A recipe on generated films, and its run that nothing happens to."""

    def __init__(self, bench, name, text):
        self.bench, self.name, self.kills = bench, name, 0
        (bench.folder / f"{name}.toml").write_text(text)
        bench.must(self.train(f"{name}-calm"))

    def train(self, out):
        return ["train", f"{self.name}.toml", "--no-report", "--out", out]

    def saved(self, run):
        """Metadata and tensors, by name, of the newest checkpoint; nothing where there is none at this moment."""
        try:
            raw = self.bench.last(run).read_bytes()
        except FileNotFoundError:
            return {}, {}
        start = 8 + int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8:start])
        metadata = header.pop("__metadata__")
        data = {name: (entry["dtype"], entry["shape"], raw[start + entry["data_offsets"][0]:start + entry["data_offsets"][1]])
                for name, entry in header.items()}
        return metadata, data

    def metrics(self, run):
        """The lines of the log of figures, without those of time and memory."""
        lines = [json.loads(line) for line in (self.bench.folder / run / "metrics.jsonl").read_text().splitlines()]
        return [{key: value for key, value in line.items()
                 if key not in ("time", "images_per_second", "loader_stall", "memory_mib", "parts")} for line in lines]

    def killed(self, reached, delay):
        """Starts the run, or goes on with it, until its checkpoint says `reached` and `delay` seconds more; False where it ends before that."""
        run = self.name
        there = (self.bench.folder / run / "run.json").exists()
        process = self.bench.start([*self.train(run), *(["--resume"] if there else [])])
        while process.poll() is None and not reached(self.saved(run)[0]):
            time.sleep(0.001)
        time.sleep(delay)
        running = process.poll() is None
        process.kill()
        process.wait()
        assert running or process.returncode == 0, process.stderr.read()
        self.kills += running
        return running

    def log(self):
        return (self.bench.folder / self.name / "train.log").read_text()

    def goes_on(self):
        for what in ("the run", "the run, finished and resumed,"):
            code, err = self.bench.run([*self.train(self.name), "--resume"])
            assert code == 0, f"{what} ended with {code}: {err}"
            calm, here = self.saved(f"{self.name}-calm")[1], self.saved(self.name)[1]
            assert calm.keys() == here.keys(), f"{what} has other tensors: {sorted(calm.keys() ^ here.keys())}"
            other = [name for name in calm if calm[name] != here[name]]
            assert not other, f"{what} has {len(other)} of {len(calm)} tensors that differ: {', '.join(other[:5])}"
            calm, here = self.metrics(f"{self.name}-calm"), self.metrics(self.name)
            assert len(calm) == len(here), f"{what} has {len(here)} lines of figures, not {len(calm)}"
            lines = [f"{a} is {b}" for a, b in zip(calm, here) if a != b]
            assert not lines, f"{what} has {len(lines)} other lines of figures: {lines[0]}"
        return f"{self.kills} kills; goes on to the same tensors and figures"


def at_step(step, stage=None):
    return lambda saved: int(saved.get("hearth.step", 0)) >= step and saved.get("hearth.stage") == stage


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


def killed_writing(bench):
    """SIGKILL while a checkpoint is written"""
    beside = bench.last("writing").with_name("last.safetensors.tmp")
    half = 0

    def state():
        try:
            return beside.stat().st_ctime_ns
        except FileNotFoundError:
            return None

    for number in range(8):
        there = (bench.folder / "writing/run.json").exists()
        before = state()  # what an earlier kill left
        process = bench.start([*bench.train("writing"), *(["--resume"] if there else [])])
        for skipped in range(number % 2, -1, -1):  # the first one that this start writes, or the second
            while process.poll() is None and state() in (None, before):
                pass
            while skipped and process.poll() is None and state() is not None:
                pass
        process.kill()
        process.wait()
        half += state() is not None
    assert half, "no kill came while a checkpoint was written"
    return f"{half} half written; " + bench.goes_on("writing")


def killed_phases(bench):
    """SIGKILL around the borders of phases, epochs and stages"""
    draw, training = random.Random(6), Training(bench, "phases", PHASES)
    for reached in (at_step(6, "gan"), at_step(18, "gan"), at_step(24, "gan"), at_step(24, "gan"), at_step(24, "gan"), at_step(12, "encoder"),
                    at_step(36, "encoder")):
        training.killed(reached, draw.uniform(0, 0.4))
    return training.goes_on()


def killed_clustering(bench):
    """SIGKILL at the start of epochs, which fit clusters"""
    draw, training = random.Random(7), Training(bench, "clusters", CLUSTERS)
    for epoch in (1, 1, 2, 2, 3, 4, 4):
        training.killed(at_step(6 * epoch), draw.uniform(0, 0.4))
    return training.goes_on()


def killed_fit(bench):
    """SIGKILL during a fit after the training, and before its checkpoint"""
    draw, training = random.Random(8), Training(bench, "density", DENSITY)
    unfitted = 0
    for longest in (0, 0.05, 0.05, 0.1, 0.1, 0.2):
        if not training.killed(at_step(8), draw.uniform(0, longest)):
            break
        unfitted += "fitted" not in training.log()
    assert unfitted, "no kill came before the end of the fit"
    return f"{unfitted} in the fit, " + training.goes_on()


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


FAULTS = [full_disk, truncated, flipped, both_gone, vanished, edited, killed, killed_writing, killed_phases, killed_clustering, killed_fit, killed_sweep,
          two_writers, memory, not_a_number, damaged_cache]


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
