#!/usr/bin/env python3
"""Images per second through DINO's multi-crop (2 x 224 + 8 x 96): the official transform and Hearth, two workers each.

    crops_side_by_side.py CHECKOUT_OF_facebookresearch/dino BUILD_DIR RADIOGRAPH... [--edges 256 512] [--rounds 3] [--json FILE]

Needs torch, torchvision and pillow for the official code, and BUILD_DIR/bin/bench_multi_crop (HEARTH_BUILD_BENCHMARKS=ON).
Both start from the same square images in memory and end with the crops as float tensors; neither reads files, builds batches
or moves tensors between processes. The official DataAugmentationDINO runs unchanged in two processes, on RGB as it must and
with its normalisation; Hearth in two threads, on one channel as it loads films and, for comparison, on three equal ones.
The two are measured in turn, --rounds times, so that what else the machine does falls on both. Ratios are given of the images
per second of all workers and of the CPU time per image, which other load changes less; the medians of both count.
"""
import argparse
import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time


def official_worker(checkout, files, seed, seconds, start, results):
    import random
    import warnings

    warnings.filterwarnings("ignore")
    import torch
    from PIL import Image

    sys.path.insert(0, checkout)
    import main_dino

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    random.seed(seed)
    images = [Image.open(file).convert("RGB") for file in files]
    crop = main_dino.DataAugmentationDINO((0.4, 1.0), (0.05, 0.4), 8)
    crop(images[0])
    start.wait()
    begin, busy = time.perf_counter(), time.process_time()
    made = 0
    while time.perf_counter() - begin < seconds:
        crop(images[made % len(images)])
        made += 1
    results.put((made / (time.perf_counter() - begin), 1e3 * (time.process_time() - busy) / made))


def official(checkout, files, workers, seconds):
    """Images per second of all workers, CPU milliseconds per image."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(workers), context.Queue()
    processes = [context.Process(target=official_worker, args=(checkout, files, seed, seconds, start, results))
                 for seed in range(workers)]
    for process in processes:
        process.start()
    rates, costs = zip(*(results.get() for _ in processes))
    for process in processes:
        process.join()
    return sum(rates), statistics.mean(costs)


def hearth(build, files, workers, seconds):
    """The same, by count of channels."""
    run = subprocess.run([os.path.join(build, "bin", "bench_multi_crop"), "--benchmark_format=json",
                          f"--benchmark_min_time={seconds}", f"--benchmark_filter=threads:{workers}$", *files],
                         check=True, stdout=subprocess.PIPE, text=True)
    return {case["name"].split("/")[1]: (case["items_per_second"], case["cpu_time"])
            for case in json.loads(run.stdout)["benchmarks"]}


def squares(radiographs, edge, folder):
    from PIL import Image

    files = []
    for i, radiograph in enumerate(radiographs):
        files.append(os.path.join(folder, f"{edge}-{i}.png"))
        Image.open(radiograph).convert("L").resize((edge, edge), Image.BICUBIC).save(files[-1])
    return files


def show(row):
    rates, costs = row["images_s"], row["cpu_ms"]
    print(f"{row['edge']:5}{row['round']:>8}{rates[0]:11.1f}{rates[1]:11.0f}{rates[2]:12.0f}{costs[0]:11.2f}{costs[1]:11.3f}"
          f"{costs[2]:12.3f}" + "".join(f"{ratio:9.1f}" for ratio in (rates[1] / rates[0], rates[2] / rates[0],
                                                                      costs[0] / costs[1], costs[0] / costs[2])), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout")
    parser.add_argument("build")
    parser.add_argument("radiographs", nargs="+")
    parser.add_argument("--edges", type=int, nargs="*", default=[256, 512], help="of the images that crops are cut from")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, choices=[1, 2])
    parser.add_argument("--seconds", type=float, default=5, help="of measuring per round and side")
    parser.add_argument("--json", help="also write the numbers to this file")
    args = parser.parse_args()
    rows = []
    print(f"{'':13}{'images/s':^32}{'CPU ms/image':^34}{'ratio, images/s':^18}{'ratio, CPU':^18}")
    sides = f"{'official':>11}{'hearth':>11}{'3 channels':>12}"
    print(f"{'edge':>5}{'round':>8}{sides}{sides}" + 2 * f"{'1':>9}{'3':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for edge in args.edges:
            files = squares(args.radiographs, edge, folder)
            for turn in range(args.rounds):
                theirs = official(args.checkout, files, args.workers, args.seconds)
                ours = hearth(args.build, files, args.workers, args.seconds / 2)
                rates, costs = ([side[i] for side in (theirs, ours["1"], ours["3"])] for i in (0, 1))
                rows.append({"edge": edge, "round": turn, "workers": args.workers, "images_s": rates, "cpu_ms": costs,
                             "load": os.getloadavg()[0]})
                show(rows[-1])
            mine = [row for row in rows if row["edge"] == edge]
            show({"edge": edge, "round": "median"} | {key: [statistics.median(values) for values in zip(*(row[key] for row in mine))]
                                                      for key in ("images_s", "cpu_ms")})
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
