"""Compares the synthetic lesions of Hearth's `slm` with those of AFiRe's official code: afire_slm.py AFIRE HEARTH MANIFEST.

    git clone https://github.com/LYH-hh/AFiRe AFIRE
    pip install numpy scipy pillow opencv-python-headless
    python tools/afire_slm.py AFIRE build/release/bin/hearth childcxr/manifest.csv      # measured with 660d917, OpenCV 5.0

The films are the first 20 normal ones of the manifest's training split (columns path, split, abnormal), each with 20 masks.
The official side runs the functions of data_prepare.py; the statements below them, which start work on folders of its authors,
are left out, and apply_noise_to_image, which loops over pixels, runs for one mask a film only: the same sum is taken at once
and compared there. Hearth's views come from `hearth data preview` of recipes/afire.toml and recipes/afire-official.toml, one
epoch for each mask, without a bank. A sheet has 8 bits: a mask above 1, where lesions overlap, is cut there.

Of every mask it takes
  lesions     how many were drawn; Hearth draws as many but does not tell
  areas       8-connected areas of the mask: lesions that touch are one
  pixels      share of the film under the mask
  change      mean absolute change of these pixels, in grey levels of 255
  any, mean   share of abnormal tokens (16 x 16 pixels): the mask has any pixel there (official code), or the patch's mean
              exceeds the mask's mean (the paper). The threshold of each side is marked by *
and prints the means with their standard errors. --films, --masks and --seed change the sample.
"""
import argparse
import ast
import csv
import json
import pathlib
import random
import subprocess
import tempfile

import cv2
import numpy as np

EDGE, PATCH = 224, 16
MEASURES = ("lesions", "areas", "pixels", "change", "any", "mean")
PERCENT = ("pixels", "any", "mean")
GAP, BLOCK_GAP, CAPTION = 4, 20, 22  # of the sheet: framework/report/contact_sheet.cpp
RECIPES = pathlib.Path(__file__).resolve().parent.parent / "recipes"


def first_films(manifest, count):
    with open(manifest, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train" and row["abnormal"] == "0"]
    return [str((pathlib.Path(manifest).parent / row["path"]).resolve()) for row in rows[:count]]


def measure(image, abnormal, mask, lesions=np.nan):
    """Of 2-D arrays; `image` and `abnormal` in grey levels of 255."""
    inside = mask > 0
    side = EDGE // PATCH
    patches = mask.astype(np.float64).reshape(side, PATCH, side, PATCH).mean((1, 3))
    change = np.abs(abnormal.astype(np.float64) - image)[inside].mean() if inside.any() else 0
    areas = cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)[0] - 1
    return lesions, areas, inside.mean(), change, (patches > 0).mean(), (patches > patches.mean() + 1e-9).mean()


class Recorder:
    """The module `random` that also keeps how many lesions were drawn, the only number between 1 and 4."""

    def __init__(self):
        self.lesions = None

    def randint(self, low, high):
        drawn = random.randint(low, high)
        if (low, high) == (1, 4):
            self.lesions = drawn
        return drawn


def official(checkout, films, masks):
    path = pathlib.Path(checkout) / "data_prepare.py"
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef))]
    code = {}
    exec(compile(tree, path, "exec"), code)
    recorder = code["random"] = Recorder()
    found = []
    for film in films:
        image = code["resize_image"](cv2.imread(film))
        for _ in range(masks):
            texture = code["apply_gaussian_gradient_mask"](code["get_noise"](image, code["otsu_threshold"](image)))
            mask = code["generate_noise_mask"](image, texture)
            abnormal = np.minimum(image.astype(np.int32) + mask, 235).astype(np.uint8)
            found.append(measure(image[..., 0], abnormal[..., 0], mask[..., 0], recorder.lesions))
        if (abnormal != code["apply_noise_to_image"](image, mask)).any():
            raise SystemExit("error: found another sum than apply_noise_to_image, expected the same")
    return found


def cells(sheet, images, views):
    """The pictures of a contact sheet: a dictionary by view for each image."""
    blocks = min(max(int((images / len(views)) ** 0.5 + 0.5), 1), images)
    rows = -(-images // blocks)
    step, width = EDGE + GAP, len(views) * (EDGE + GAP) + BLOCK_GAP
    if sheet.shape[:2] != (CAPTION + rows * step + GAP, blocks * width):
        raise SystemExit(f"error: found a sheet of {sheet.shape[:2]}, expected another; did contact_sheet.cpp change?")
    for image in range(images):
        top, left = CAPTION + image % rows * step, GAP + image // rows * width
        yield {view: sheet[top:top + EDGE, left + i * step:left + i * step + EDGE, 0] for i, view in enumerate(views)}


def hearth(binary, recipe, films, masks, seed):
    found = []
    with tempfile.TemporaryDirectory() as folder:
        manifest, sheet = pathlib.Path(folder) / "films.csv", pathlib.Path(folder) / "sheet.png"
        manifest.write_text("path\n" + "".join(f'"{film}"\n' for film in films))
        for epoch in range(masks):
            # A small network: the views do not depend on it.
            command = [binary, "--json", "data", "preview", str(RECIPES / recipe), f"data.source={manifest}", f"train.seed={seed}",
                       "networks.student.backbone.size=tiny", "augment.slm.bank=0", "-n", str(len(films)), "--epoch", str(epoch), "--cell", str(EDGE),
                       "--out", str(sheet)]
            told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            for views in cells(cv2.imread(str(sheet)), told["images"], told["views"]):
                found.append(measure(views["image"], views["abnormal"], views["mask"]))
    return found


def row(title, found, marked):
    means = np.mean(found, axis=0)
    errors = np.std(found, axis=0, ddof=1) / len(found) ** 0.5
    texts = []
    for name, mean, error in zip(MEASURES, means, errors):
        scale, unit = (100, " %") if name in PERCENT else (1, "")
        mark = "*" if name == marked else ""
        texts.append("-" if np.isnan(mean) else f"{scale * mean:.1f} ± {scale * error:.1f}{unit}{mark}")
    print(f"{title:22}" + "".join(f"{text:>16}" for text in texts), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", help="folder of LYH-hh/AFiRe")
    parser.add_argument("hearth", help="the program")
    parser.add_argument("manifest", help="CSV with the columns path, split and abnormal")
    parser.add_argument("--films", type=int, default=20)
    parser.add_argument("--masks", type=int, default=20, help="of each film")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    random.seed(arguments.seed)
    films = first_films(arguments.manifest, arguments.films)
    print(f"{len(films)} films, {arguments.masks} masks each\n{'':22}" + "".join(f"{name:>16}" for name in MEASURES))
    row("official code", official(arguments.checkout, films, arguments.masks), "any")
    for recipe, marked in (("afire.toml", "mean"), ("afire-official.toml", "any")):
        row(recipe, hearth(arguments.hearth, recipe, films, arguments.masks, arguments.seed), marked)


if __name__ == "__main__":
    main()
