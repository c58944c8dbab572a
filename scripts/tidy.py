"""Runs clang-tidy over files of a GCC build; called by scripts/lint.

GCC's compile commands do not suit Clang: they begin with a launcher (ccache), carry GCC-only flags and name a precompiled
header that Clang cannot read. This rewrites them into build/lint/compile_commands.json and makes the precompiled header
again with Clang, so that LibTorch's headers are parsed once and not in every file.

Tests are left out: Catch2's macros trip too many checks. So are files that Clang 14 cannot compile with GCC 12's library
(parts of <ranges>): GCC's verdict counts; they are listed.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time

ROOT = os.getcwd()
LINT = os.path.join(ROOT, "build", "lint")
FOLDERS = ("framework/", "plugins/", "examples/", "benchmarks/")
SOURCES = (".cpp",)
HEADERS = (".hpp", ".h")
GCC_ONLY = {"-fpch-preprocess", "-Winvalid-pch", "-fno-semantic-interposition"}
# Costly over LibTorch's declarations (a quarter of the time) and covered by review or by GCC's own warnings.
SLOW = "-bugprone-reserved-identifier,-bugprone-forward-declaration-namespace,-bugprone-stringview-nullptr"


def clang_command(entry):
    """GCC's command as arguments for Clang, and the precompiled header that it used (or None)."""
    words = entry["arguments"] if "arguments" in entry else shlex.split(entry["command"])
    start = next(i for i, word in enumerate(words) if re.fullmatch(r"(.*/)?(c\+\+|g\+\+|clang\+\+)(-[\d.]+)?", word))
    words, kept, header, i = words[start + 1 :], [], None, 0
    while i < len(words):
        if words[i] == "-include" and words[i + 1].endswith("cmake_pch.hxx"):
            header, i = words[i + 1], i + 2
        elif words[i] in ("-o", "-MF", "-MT", "-MQ"):
            i += 2
        elif words[i] in GCC_ONLY or words[i] in ("-c", "-MD", "-MMD", entry["file"]):
            i += 1
        else:
            kept.append(words[i])
            i += 1
    return kept + ["-Wno-unknown-warning-option"], header


def make_header(header, flags, directory):
    """Precompiles CMake's header with Clang; done again only when the header or the flags changed."""
    with open(header, "rb") as file:
        key = hashlib.sha256(file.read() + repr(flags).encode()).hexdigest()[:16]
    wrapper, pch = (os.path.join(LINT, f"pch-{key}{end}") for end in (".hpp", ".pch"))
    command = ["clang++", *flags, "-x", "c++-header", wrapper, "-o", pch]
    if not os.path.exists(pch):
        with open(wrapper, "w") as file:
            file.write(f'#include "{header}"\n')
        print("lint: precompiling LibTorch's headers for clang-tidy", flush=True)
        if subprocess.run(command, cwd=directory, stderr=subprocess.DEVNULL).returncode != 0:
            return None
    return pch


def sources(entry):
    """The file of an entry, or the files that a file of a unity build includes."""
    if "/Unity/unity_" not in entry["file"]:
        return [entry["file"]]
    with open(os.path.join(entry["directory"], entry["file"])) as file:
        return re.findall(r'^#include "(.*)"$', file.read(), re.M)


def database(build):
    """Path relative to the root -> entry, rewritten for Clang; also written to build/lint."""
    with open(os.path.join(build, "compile_commands.json")) as file:
        entries = json.load(file)
    os.makedirs(LINT, exist_ok=True)
    made, result = {}, {}
    for entry, source in ((entry, source) for entry in entries for source in sources(entry)):
        path = os.path.relpath(os.path.join(entry["directory"], source), ROOT)
        if not path.startswith(FOLDERS) or not path.endswith(SOURCES) or path in result:
            continue
        flags, header = clang_command(entry)
        if header:
            kind = (header, *(flag for flag in flags if flag.startswith("-f")))  # Clang refuses one of another visibility
            if kind not in made:
                shared = [flag for flag in flags if not re.fullmatch(r"-D\w+_EXPORTS", flag)]
                made[kind] = make_header(header, shared, entry["directory"])
            flags += ["-include-pch", made[kind]] if made[kind] else ["-include", header]
        result[path] = {"directory": entry["directory"], "file": source, "arguments": ["clang++", *flags, "-c", source]}
    with open(os.path.join(LINT, "compile_commands.json"), "w") as file:
        json.dump(list(result.values()), file, indent=1)
    return result


def chosen(entries, files):
    """The sources among files, and for each header its own source or else one source that includes it."""
    picked = [path for path in files if path in entries]
    for path in files:
        if path.endswith(HEADERS) and path.startswith(FOLDERS):
            own = re.sub(r"\.\w+$", ".cpp", path)
            pattern = re.compile(r'#include\s+[<"](?:[^<">]*/)?' + re.escape(os.path.basename(path)) + '[">]')
            users = (source for source in entries if pattern.search(open(source).read()))
            picked += [own] if own in entries else list(users)[:1]
    return list(dict.fromkeys(picked))


def tidy(path):
    """(path, 'clean' | 'found' | 'unparsed' | 'failed', output)"""
    run = subprocess.run(["clang-tidy", "-p", LINT, "--quiet", f"--checks={SLOW}", path], capture_output=True, text=True)
    kinds = set(re.findall(r"(?:warning|error): .*\[([\w.,-]+)\]\s*$", run.stdout, re.M))
    if kinds and all(kind.startswith("clang-diagnostic-error") for kind in kinds):
        return path, "unparsed", run.stdout
    if kinds or run.returncode != 0:
        return path, "found" if kinds else "failed", run.stdout + ("" if kinds else run.stderr)
    return path, "clean", ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--budget", type=float)
    parser.add_argument("files", nargs="*")
    args = parser.parse_args()

    begun = time.monotonic()
    entries = database(args.build)
    order = chosen(entries, args.files)
    if args.all:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
        order += sorted(set(entries) - set(order), key=lambda path: hashlib.sha256((head + path).encode()).digest())
    counts = dict.fromkeys(("clean", "found", "unparsed", "failed", "left"), 0)
    unparsed = []

    def work(path):
        if args.budget and time.monotonic() - begun > args.budget:
            return path, "left", ""
        return tidy(path)

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for path, verdict, output in pool.map(work, order):
            counts[verdict] += 1
            if verdict in ("found", "failed"):
                print(output.rstrip().replace(ROOT + "/", ""), flush=True)
            elif verdict == "unparsed":
                first = re.search(r"error: (.*)", output)
                unparsed.append(f"{path}: {first.group(1) if first else ''}")
    for line in unparsed:
        print("lint: not analysed, Clang cannot compile it:", line)
    left = f", {counts['left']} left for another run (budget {args.budget:.0f} s)" if counts["left"] else ""
    print(f"lint: clang-tidy: {counts['clean']} files clean, {counts['found'] + counts['failed']} with findings, "
          f"{counts['unparsed']} not analysed{left}, {time.monotonic() - begun:.0f} s")
    return 1 if counts["found"] or counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
