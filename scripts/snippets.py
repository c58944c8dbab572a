#!/usr/bin/env python3
"""Checks that the code that the documentation quotes is code that is compiled and tested.

A block ```cpp or ```toml of the pages below stands under a comment that names the file it is from, <!-- from FILE -->. Its lines
must follow each other in that file, whatever their indentation; blank lines do not count. A line of three dots, "..." or "// ...",
leaves out what stands between. FILE is relative to the root of the project.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "docs/plugins.md", *sorted((ROOT / "docs/authoring").glob("*.md"))]
BLOCK = re.compile(r"(?:^<!-- from (?P<file>\S+) -->\n\n?)?^```(?P<language>cpp|toml)\n(?P<text>.*?)^```$", re.M | re.S)


def lines_of(text):
    return [line.strip() for line in text.splitlines() if line.strip()]


def pieces_of(lines):
    """The runs of lines between those that say that something is left out."""
    pieces = [[]]
    for line in lines:
        if line.lstrip("/# ") == "...":
            pieces.append([])
        else:
            pieces[-1].append(line)
    return [piece for piece in pieces if piece]


def find(piece, lines, start):
    """Where a run of lines begins at or after `start`; None where it is not there."""
    for at in range(start, len(lines) - len(piece) + 1):
        if lines[at : at + len(piece)] == piece:
            return at
    return None


def problem_of(file, text):
    source = ROOT / file
    if not source.is_file():
        return f"found no file {file}"
    lines, start = lines_of(source.read_text(encoding="utf-8")), 0
    for piece in pieces_of(lines_of(text)):
        at = find(piece, lines, start)
        if at is None:
            first = next((line for line in piece if line not in lines), piece[0])
            return f"found a block that is not in {file}, the first line that differs: {first}"
        start = at + len(piece)
    return None


def main():
    wrong = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start("language")) + 1
            problem = problem_of(block["file"], block["text"]) if block["file"] else "found code without <!-- from FILE --> above it"
            if problem:
                wrong.append(f"{page.relative_to(ROOT)}:{line}: {problem}")
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
