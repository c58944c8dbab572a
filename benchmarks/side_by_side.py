#!/usr/bin/env python3
"""Runs our training step and a reference implementation's in turns and prints a table of ratios.

The reference is any command that prints a JSON line with {"phases_s": {"step"|"total": {"min": .., "median": ..}}} for a batch size and
a precision; {batch} and {precision} are replaced in it. What it says of phases clip, optimizer and ema, and of peak_rss_mb, is shown too.

  benchmarks/side_by_side.py --recipe recipes/afire.toml --set data.channels=3 \\
      --reference "python reference_step.py --batch {batch} --precision {precision} --threads 2"

Both run in turns, ours first, `--rounds` times; the minimum over rounds of each side's median step is compared.
"""
import argparse
import json
import shlex
import subprocess
import sys


def last_json(command):
    done = subprocess.run(command, capture_output=True, text=True)
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    sys.exit(f"no JSON line from {shlex.join(command)}:\n{done.stdout[-500:]}{done.stderr[-2000:]}")


def our_bench(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def step_median(result):
    phases = result["phases_s"]
    for key in ("step", "total"):
        if key in phases:
            return phases[key]["median"]
    return result["step_s"]["median"]


def update_ms(result, names):
    """Milliseconds of clipping, optimiser and moving average; "-" where they are not told apart."""
    phases = [result["phases_s"][name] for name in names if name in result["phases_s"]]
    return f"{1e3 * sum(phase.get('mean', phase.get('median', 0)) for phase in phases):.0f}" if len(phases) > 1 else "-"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hearth", default="build/release/bin/hearth", help="whose `bench --generated` is our side")
    parser.add_argument("--recipe", default="recipes/afire.toml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override of the recipe")
    parser.add_argument("--reference", required=True, help="command template of the other implementation")
    parser.add_argument("--batches", type=int, nargs="+", default=[2, 8, 16])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    print("| batch | precision | ours s/step | reference s/step | times faster | ours images/s | ours, % of a matrix product | update ms, ours / reference "
          "| peak MiB, ours / reference |\n|---|---|---|---|---|---|---|---|---|")
    slower = False
    for precision in args.precisions:
        for batch in args.batches:
            ours, theirs = [], []
            for _ in range(args.rounds):
                ours.append(our_bench([args.hearth, "bench", args.recipe, "data.source=phantom", f"train.batch={batch}", f"train.precision={precision}",
                                       *args.set, "--generated", "--json", "--steps", str(args.steps), "--warmup", "2"]))
                theirs.append(last_json(shlex.split(args.reference.format(batch=batch, precision=precision))))
            a, b = min(ours, key=step_median), min(theirs, key=step_median)
            ratio = step_median(b) / step_median(a)
            slower |= ratio <= 1
            peak = b.get("peak_rss_mb")
            print(f"| {batch} | {precision} | {step_median(a):.3f} | {step_median(b):.3f} | {ratio:.2f} | {a['images'] / step_median(a):.2f} "
                  f"| {100 * a['utilisation']:.0f} | {update_ms(a, ('clip', 'optimizer', 'follower'))} / {update_ms(b, ('clip', 'optimizer', 'ema'))} "
                  f"| {a['peak_memory_mib']:.0f} / {f'{peak:.0f}' if peak else '-'} |", flush=True)
    sys.exit(1 if slower else 0)


if __name__ == "__main__":
    main()
