#!/usr/bin/env python3
"""Writes the manifests that recipes/nihbox read.

    python3 tools/nihbox_tables.py NIHBOX CHILDCXR OUT
    export NIHBOX=OUT

NIHBOX   folder of 256 x 256 films of NIH ChestX-ray14 with a manifest.csv (path, patient, split, abnormal, a column
         of 0 and 1 a finding) and a pairs.csv (path, patient, split, finding, label, center_x, center_y, half)
CHILDCXR folder with a manifest.csv (path, patient, label, abnormal, split)
OUT      gets
         pretrain.csv  the training films of both that show nothing: NIHBOX's "No Finding", CHILDCXR's normal ones
         findings.csv  the films with a finding, the findings as columns of 0 and 1
         places.csv    two rows a pair: the place of a lesion (label 1), and the mirrored place in the same film
                       (label 0), as masks of 64 x 64 pixels in the column `region`. Films whose place lies in their
                       right half are mirrored, in OUT/mirrored, so that all places lie in the left one

The originals stay where they are: the manifests hold their absolute paths. Needs Pillow.
"""

import argparse
import csv
from pathlib import Path

try:
    from PIL import Image, ImageOps
except ImportError:
    raise SystemExit("nihbox_tables: found no Pillow, expected it: pip install pillow")

SIDE = 64
BOXED = ("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax")


def read(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        raise SystemExit(f"nihbox_tables: found no {file}, expected the table that this text describes (--help)")
    with file.open(newline="", encoding="utf-8-sig") as lines:
        return list(csv.DictReader(lines))


def write(file: Path, columns: tuple[str, ...], rows: list[tuple]) -> None:
    with file.open("w", newline="", encoding="utf-8") as lines:
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)
    print(f"{file}: {len(rows)} rows")


def pretrain(nihbox: Path, childcxr: Path) -> list[tuple]:
    rows = []
    for name, folder in (("nihbox", nihbox), ("childcxr", childcxr)):
        for row in read(folder / "manifest.csv"):
            if row["split"] == "train" and row["abnormal"] == "0":
                rows.append((folder / row["path"], f"{name}-{row['patient']}", name))
    return rows


def findings(nihbox: Path) -> list[tuple]:
    return [
        (nihbox / row["path"], row["patient"], row["split"], *(row[finding] for finding in BOXED))
        for row in read(nihbox / "manifest.csv")
        if row["abnormal"] == "1"
    ]


def square(x: float, y: float, width: int, height: int) -> str:
    """The cell of a mask: runs down the columns of the part of a square around (x, y) that lies in the image."""
    left, top = round(x - SIDE / 2), round(y - SIDE / 2)
    columns = range(max(left, 0), min(left + SIDE, width))
    first, last = max(top, 0), min(top + SIDE, height)
    runs, end = [], 0
    for column in columns:
        runs += [column * height + first - end, last - first]
        end = column * height + last
    return f"rle:relative:{width}x{height}:" + " ".join(map(str, runs))


def places(nihbox: Path, mirrored: Path) -> list[tuple]:
    mirrored.mkdir(parents=True, exist_ok=True)
    rows = []
    for row in read(nihbox / "pairs.csv"):
        source, x = nihbox / row["path"], float(row["center_x"])
        with Image.open(source) as film:
            width, height = film.size
            if row["half"] == "right":
                target, x = mirrored / f"{source.stem}.png", width - x
                if not target.exists():
                    ImageOps.mirror(film.convert("L")).save(target)
                source = target
        region = square(x, float(row["center_y"]), width, height)
        rows.append((source, row["patient"], row["split"], row["finding"], row["label"], region))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("nihbox", "childcxr", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    nihbox, childcxr, out = given.nihbox.resolve(), given.childcxr.resolve(), given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    write(out / "pretrain.csv", ("path", "patient", "set"), pretrain(nihbox, childcxr))
    write(out / "findings.csv", ("path", "patient", "split", *BOXED), findings(nihbox))
    write(
        out / "places.csv",
        ("path", "patient", "split", "finding", "label", "region"),
        places(nihbox, out / "mirrored"),
    )


if __name__ == "__main__":
    main()
