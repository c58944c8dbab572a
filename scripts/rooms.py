#!/usr/bin/env python3
"""Checks that no room of framework/ includes one that stands beside or above it.

The rooms and their order are those of the block ```rooms in CONTRIBUTING.md: a line for each storey, the top one first. A
room may include itself and what stands on lower lines. With --graph it prints every arrow instead.
"""
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FRAMEWORK = ROOT / "framework"


def storeys():
    """The height of each room, as CONTRIBUTING.md has it."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = re.search(r"```rooms\n(.*?)```", text, re.S)
    if block is None:
        sys.exit("scripts/rooms.py: found no block ```rooms in CONTRIBUTING.md, expected the storeys of framework/")
    lines = [line.split() for line in block.group(1).splitlines() if line.strip()]
    return {room: len(lines) - at for at, line in enumerate(lines) for room in line}


def room_of(path, heights):
    """The longest room that the path, relative to framework/, is in; None for a path that is in none."""
    parts = path.split("/")
    for count in range(len(parts) - 1, 0, -1):
        room = "/".join(parts[:count])
        if room in heights:
            return room
    return None


def main():
    heights = storeys()
    arrows = collections.Counter()
    wrong = []
    for file in sorted(FRAMEWORK.rglob("*")):
        if file.suffix not in {".cpp", ".hpp"}:
            continue
        name = file.relative_to(FRAMEWORK).as_posix()
        room = room_of(name, heights)
        if room is None:
            wrong.append(f"framework/{name}: found in no room, expected one that CONTRIBUTING.md lists")
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            found = re.match(r'#include ["<]([^">]+)[">]', line)
            other = found and ("sdk" if found[1].startswith("hearth/") else room_of(found[1], heights))
            if not other or other == room:
                continue
            arrows[room, other] += 1
            if heights[other] >= heights[room]:
                wrong.append(f"framework/{name}:{number}: {room} includes {found[1]}, and {other} is not below it")
    if "--graph" in sys.argv[1:]:
        for (room, other), count in sorted(arrows.items(), key=lambda arrow: (-heights[arrow[0][0]], arrow[0])):
            print(f"{room} -> {other} ({count})")
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
