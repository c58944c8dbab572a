#!/usr/bin/env python3
"""CPU time per synthetic lesion image: the authors' script and Hearth, image by image, in one run on one thread.

    slm_side_by_side.py CHECKOUT_OF_LYH-hh/AFiRe BUILD_DIR RADIOGRAPH... [--repeats 3] [--json FILE]

Needs numpy, opencv-python-headless, pillow and scipy for the script, and BUILD_DIR/bin/bench_slm (HEARTH_BUILD_BENCHMARKS=ON).
Both start from the 224 x 224 image in memory; neither reads nor writes files. The script works on 3 equal channels, as it
does when it is run; Hearth on the one channel it loads. CPU time, since neither waits for anything: what else the machine
does then matters little. The script's functions run unchanged: its module starts work on hard-coded folders when imported,
so only its imports and functions are compiled, from the checkout.
"""
import argparse
import ast
import json
import os
import pathlib
import random
import statistics
import subprocess
import time

import cv2


def functions(checkout):
    path = pathlib.Path(checkout) / "data_prepare.py"
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef))]
    names = {}
    exec(compile(tree, str(path), "exec"), names)
    return names


def reference_ms(script, file, repeats):
    image = script["resize_image"](cv2.imread(file))
    times = []
    for _ in range(repeats):
        start = time.process_time()
        texture = script["get_noise"](image, script["otsu_threshold"](image))
        mask = script["generate_noise_mask"](image, script["apply_gaussian_gradient_mask"](texture))
        script["apply_noise_to_image"](image, mask)
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times)


def hearth_ms(build, file):
    run = subprocess.run([os.path.join(build, "bin", "bench_slm"), "--benchmark_format=json", file], check=True,
                         stdout=subprocess.PIPE, text=True)
    return json.loads(run.stdout)["benchmarks"][0]["cpu_time"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout")
    parser.add_argument("build")
    parser.add_argument("radiographs", nargs="+")
    parser.add_argument("--repeats", type=int, default=3, help="runs of the script per image; the median counts")
    parser.add_argument("--json", help="also write the numbers to this file")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    random.seed(0)
    script = functions(args.checkout)
    rows = []
    print(f"{'image':40} {'script ms':>10} {'hearth ms':>10} {'ratio':>8}")
    for file in args.radiographs:
        try:
            reference = reference_ms(script, file, args.repeats)
        except (ValueError, cv2.error) as error:  # the script can cut an empty texture
            print(f"{os.path.basename(file):40} {'failed':>10}   {error}")
            continue
        ours = hearth_ms(args.build, file)
        rows.append({"image": os.path.basename(file), "script_ms": reference, "hearth_ms": ours, "ratio": reference / ours})
        print(f"{rows[-1]['image']:40} {reference:10.2f} {ours:10.3f} {reference / ours:8.0f}", flush=True)
    if not rows:
        raise SystemExit("no image could be measured")
    ratios = [row["ratio"] for row in rows]
    print(f"ratio over {len(rows)} images: median {statistics.median(ratios):.0f}, lowest {min(ratios):.0f}")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
