"""What checks need: `needed.py scripts/checks.txt` names the packages of that list that are missing. See also skip()."""
import os
import sys
from importlib import metadata

HOW = "scripts/setup --dev installs them, or by hand: {} -m pip install -r scripts/checks.txt"


def skip(missing):
    """Ends a check for want of a package: with exit code 77, which ctest calls skipped, or with 1 where HEARTH_CHECKS=all asks for
    every check, as .ci/run does."""
    print(f"skipped: {missing}; {HOW.format(sys.executable)}")
    sys.exit(1 if os.environ.get("HEARTH_CHECKS") == "all" else 77)


def missing_of(file):
    lines = (line.split("#")[0].strip() for line in open(file, encoding="utf-8"))
    for name in (line.partition("==")[0] for line in lines if line):
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = list(missing_of(sys.argv[1]))
    if found:
        print(f"test: comparisons with Python packages that are missing will be skipped: {', '.join(found)}; {HOW.format(sys.executable)}")
    sys.exit(1 if found else 0)
