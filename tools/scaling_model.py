#!/usr/bin/env python3
"""What data parallelism would cost on more devices, from a measured step: a model, not a measurement.

  hearth bench recipes/afire.toml --generated --json > bench.json      # on one device of the kind
  tools/scaling_model.py bench.json --gigabytes 25 --latency 15e-6 --devices 1 8 64 256 1000

Every step all-reduces the gradients of the trained parameters, 4 bytes each, as a ring: 2 (n - 1) / n of that volume through the slowest link,
and 2 (n - 1) latencies for each bucket of 25 MB. What fits beside the backward pass is hidden; the rest prolongs the step. Left out: stragglers,
trees instead of rings (better above some 100 devices), reading data, other traffic on the links.
"""
import argparse
import json
import math
import sys

BUCKET_BYTES = 25 * 2**20  # framework/dist/gradients.cpp


def step_seconds(bench, devices, bytes_per_second, latency):
    """(step, all-reduce, what of it is not hidden), seconds."""
    phases = bench["phases_s"]
    step, backward = phases["step"]["median"], phases["backward"]["mean"]
    volume = 4.0 * bench["trained_parameters"]
    if devices == 1:
        return step, 0.0, 0.0
    rounds = 2 * (devices - 1)
    reduce = rounds / devices * volume / bytes_per_second + rounds * latency * math.ceil(volume / BUCKET_BYTES)
    # The last bucket is complete when the backward pass is: it cannot be hidden.
    last = reduce * min(1.0, BUCKET_BYTES / volume)
    shown = max(reduce - backward, last)
    return step + shown, reduce, shown


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", help="what `hearth bench --json` printed, - for standard input")
    parser.add_argument("--gigabytes", type=float, default=25, help="GB/s of the slowest link, each way")
    parser.add_argument("--latency", type=float, default=15e-6, help="seconds of one hop")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 8, 64, 256, 1000])
    args = parser.parse_args()
    with (sys.stdin if args.bench == "-" else open(args.bench)) as file:
        bench = json.load(file)
    images = bench["images"]
    print(f"{bench['recipe']}: {images} images a step and device, {bench['trained_parameters'] / 1e6:.1f} M trained parameters, "
          f"{args.gigabytes:g} GB/s, {args.latency * 1e6:g} us\n")
    print("| devices | images a step | all-reduce ms | not hidden ms | step ms | images/s | efficiency |\n|---|---|---|---|---|---|---|")
    alone, _, _ = step_seconds(bench, 1, args.gigabytes * 1e9, args.latency)
    for n in args.devices:
        step, reduce, shown = step_seconds(bench, n, args.gigabytes * 1e9, args.latency)
        print(f"| {n} | {n * images} | {1e3 * reduce:.1f} | {1e3 * shown:.1f} | {1e3 * step:.1f} | {n * images / step:.1f} | {100 * alone / step:.1f} % |")


if __name__ == "__main__":
    main()
