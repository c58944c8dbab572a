#!/usr/bin/env python3
"""tools/caught.py [BUILD] [--output docs/authoring/caught.md]

What Hearth says to plugins that misbehave: builds nothing, runs the deliberately faulty plugins of tests/negative in BUILD
(default build/release), one command each, and writes the page docs/authoring/caught.md with the messages. Needs a build with tests.
Exit codes: 0 written, 1 a fault was not caught, 2 usage.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap

PARTS = """schema = 1
[data]
source = "phantom"
phantom_count = 40
size = 32
workers = 1
[[augment]]
use = "dimmed"
[networks.student]
backbone = { use = "vit", dim = 48, heads = 3, patch = 8, depth = 1 }
heads.scale = { use = "scale" }
[[pass]]
network = "student"
view = "dim"
[[loss]]
use = "rows"
reads = { rows = "student.scaled" }
[train]
epochs = 1
batch = 8
threads = 1
precision = "fp32"
"""
BAD = """schema = 1
name = "bad"
[networks.student]
backbone = { use = "vit", patch = 8, dim = 48, depth = 1, heads = 3 }
[[pass]]
network = "student"
view = "image"
[[loss]]
use = "misbehave"
[data]
source = "phantom"
phantom_count = 40
size = 32
workers = 1
[train]
epochs = 1
batch = 8
threads = 1
precision = "fp32"
"""
HEAD, LOSS, AUGMENT = "networks.student.heads.scale.fault", "loss.rows.fault", "augment.dimmed.fault"
TRAINED, READER, TORCH = "trained to the end", "blamed its reader", "internal error in LibTorch"
DIFFER = "runs differed after a resume"

# Section, then rows: what the plugin does, the command, and what came of it before, where that is on record (commit fab1b40).
SECTIONS = [
    ("What a component returns", [
        ("a head's output has another rank than declared", ("check", HEAD, "rank"), TRAINED),
        ("another size", ("check", HEAD, "size"), TRAINED),
        ("another batch size", ("check", HEAD, "batch"), TRAINED),
        ("another dtype", ("check", HEAD, "type"), TRAINED),
        ("another device", ("check", HEAD, "device"), TORCH),
        ("an output is missing", ("check", HEAD, "missing"), READER),
        ("an output is an undefined tensor", ("check", HEAD, "undefined")),
        ("an output was not declared", ("check", HEAD, "undeclared"), TRAINED),
        ("a loss without a total", ("check", LOSS, "undefined")),
        ("a total that is a vector", ("check", LOSS, "vector"), TORCH),
        ("a total of integers", ("check", LOSS, "integer")),
        ("a total in double precision", ("check", LOSS, "double"), TRAINED),
        ("a total without a gradient", ("check", LOSS, "detached"), TORCH),
        ("`per_sample` of another shape", ("check", LOSS, "per sample"), TRAINED),
        ("a term that is no number", ("check", LOSS, "term")),
        ("a view of another size", ("check", AUGMENT, "size"), TRAINED),
        ("a view of another size for each image", ("check", AUGMENT, "uneven", 'loss.rows.reads.view="cut"')),
        ("a view of another dtype", ("check", AUGMENT, "type"), TRAINED),
        ("a view is missing", ("check", AUGMENT, "missing"), READER),
        ("a view was not declared", ("check", AUGMENT, "undeclared"), TRAINED),
        ("a view holds NaN", ("check", AUGMENT, "not finite")),
    ]),
    ("What it does to its input, its randomness and its state", [
        ("a head changes its input in place", ("check", HEAD, "in place"), TRAINED),
        ("and through a raw pointer", ("check", HEAD, "raw"), TRAINED),
        ("an augment changes the image", ("check", AUGMENT, "in place"), "the next augment got that image"),
        ("and through a raw pointer", ("check", AUGMENT, "raw"), "the next augment got that image"),
        ("`rand()` in `sample`", ("check", AUGMENT, "rand"), DIFFER),
        ("a counter in `sample`", ("check", AUGMENT, "shared")),
        ("a member that is no buffer", ("check", HEAD, "forgets"), DIFFER),
        ("a module or parameter that is not registered", ("check", HEAD, "unregistered")),
    ]),
    ("What it throws", [
        ("an exception where it declares its ports", ("plan", HEAD, "standard")),
        ("an error of LibTorch in its constructor", ("plan", HEAD, "torch")),
        ("`throw 42`", ("plan", HEAD, "number")),
        ("`std::bad_alloc`", ("plan", HEAD, "memory")),
        ("a `RecipeError` about two options", ("plan", HEAD, "recipe")),
        ("an exception in `forward`", ("train", "throw", "forward")),
        ("in `after_step`", ("train", "throw", "after_step")),
        ("in the backward pass", ("train", "throw", "backward")),
        ("in its destructor", ("plan", "throw", "destroy")),
        ("control characters in a text", ("train", "escape", "forward")),
    ]),
    ("What it does to the process", [
        ("a segmentation fault", ("train", "segfault", "forward"), "no word"),
        ("`abort()`", ("train", "abort", "forward"), "no word"),
        ("`exit(0)`", ("train", "exit", "forward"), "a sweep counted the run as finished"),
        ("`chdir()`", ("train", "folder", "create")),
    ]),
    ("What is wrong with its file", [
        ("built for another API", ("file", "other_api")),
        ("built with the other C++ ABI", ("file", "other_abi")),
        ("types of other sizes", ("file", "context_size")),
        ("a null function in its table", ("file", "null_function")),
        ("a null text", ("file", "null_text")),
        ("control characters in a text", ("file", "control_character")),
        ("an id of other letters", ("file", "id_of_other_letters")),
        ("an option twice", ("file", "same_option_twice")),
        ("a component twice", ("file", "same_component_twice")),
        ("an undefined symbol", ("file", "undefined_symbol")),
        ("a shape that cannot be read", ("with", "wrong_shape")),
    ]),
]


def words_of(case, negative):
    """The words of a command, and those that the page shows."""
    verb, first, *rest = case
    if verb == "file":
        return ["plugins", "check", *map(str, sorted((negative / first).glob("*.so")))], "hearth plugins check FILE"
    if verb == "with":
        folders = ["--plugin-path", str(negative / first), "--plugin-path", str(negative / "faulty")]
        return ["plan", "a.toml", *folders], "hearth plan a.toml"
    if first.endswith(".fault"):
        folders = ["--plugin-path", str(negative / "good"), "--plugin-path", str(negative / "faulty")]
        return [verb, "a.toml", f'{first}="{rest[0]}"', *rest[1:], *folders], f"hearth {verb} a.toml"
    words = [verb, "bad.toml", f"loss.misbehave.fault={first}", f"loss.misbehave.at={rest[0]}"]
    words += ["--plugin-path", str(negative / "misbehaving")]
    if verb == "train":
        words += ["--out", "run", "--overwrite", "--no-report", "--quiet"]
    return words, f"hearth {verb} bad.toml"


def message(text, folder, negative):
    """What was said of the fault, without paths."""
    text = text.replace(f"{negative}/", "").replace(folder, "/work")
    text = re.sub(r"[\w./-]*/(libhearth_\w+\.so)", r".../\1", text)
    lines = text.rstrip().splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("error: ") or "changed the working" in line]
    return lines[starts[0] :] if starts else []


def wrapped(lines):
    """As a terminal of 100 columns has them, broken between words."""
    for line in lines:
        yield from textwrap.wrap(line, 96, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", default="build/release", type=pathlib.Path)
    parser.add_argument("--output", default="docs/authoring/caught.md", type=pathlib.Path)
    options = parser.parse_args()
    hearth, negative = options.build.resolve() / "bin/hearth", options.build.resolve() / "tests/negative/plugins"
    if not hearth.exists() or not negative.exists():
        parser.error(f"{options.build}: found no bin/hearth or no tests/negative/plugins, expected a build with its tests")
    page, missed = [INTRODUCTION], 0
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "a.toml").write_text(PARTS)
        pathlib.Path(folder, "bad.toml").write_text(BAD)
        for title, rows in SECTIONS:
            page.append(f"## {title}\n")
            for what, case, *before in rows:
                words, shown = words_of(case, negative)
                done = subprocess.run([hearth, *words], cwd=folder, capture_output=True, text=True, timeout=300)
                said = message(done.stderr, folder, negative)
                if not said:
                    missed += 1
                    print(f"not caught: {' '.join(words)}: exit code {done.returncode}", file=sys.stderr)
                code = done.returncode if done.returncode >= 0 else 128 - done.returncode
                was = f" Before: {before[0]}." if before else ""
                entry = f"**{what[0].upper() + what[1:]}**: `{shown}`, exit code {code}.{was}"
                page += [*textwrap.wrap(entry, 100), "", "```", *wrapped(said), "```", ""]
    options.output.write_text("\n".join(page).rstrip() + "\n")
    return 1 if missed else 0


INTRODUCTION = """# What Hearth says to a plugin that misbehaves

Each entry is a plugin of [tests/negative](../../tests/negative/plugins) that does one thing wrong,
a command that finds it, and what it said when this page was made. Tests hold the messages.
"Before" is what came of it at commit fab1b40, before outputs were held to their declarations, where
that was written down.

`python3 tools/caught.py BUILD` makes this page again.
"""

if __name__ == "__main__":
    sys.exit(main())
