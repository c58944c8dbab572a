"""The command: `hearth VERB ...` and `python -m hearth VERB ...` run the program with this Python's LibTorch.

`python -m hearth --cmake-dir` prints the folder that a plugin's project takes as -DHearth_DIR=.
"""
import os
import sys

from .program import cmake_dir, environment, program


def main() -> int:
    arguments = sys.argv[1:]
    try:
        if arguments == ["--cmake-dir"]:
            print(cmake_dir())
            return 0
        command = str(program())
    except FileNotFoundError as problem:
        print(f"hearth: {problem}", file=sys.stderr)
        return 2
    os.execve(command, [command, *arguments], environment())


if __name__ == "__main__":
    sys.exit(main())
