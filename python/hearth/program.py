"""Where Hearth's program is: in the wheel, or where HEARTH_PREFIX says."""
import importlib.util
import os
from pathlib import Path


def prefix() -> Path:
    """The installation (bin/, lib/, share/): HEARTH_PREFIX, else the one in this package. FileNotFoundError where there is none."""
    named = os.environ.get("HEARTH_PREFIX", "")
    folder = Path(named) if named else Path(__file__).parent / "_prefix"
    if not (folder / "bin" / "hearth").exists():
        found = f"HEARTH_PREFIX={named}: found no bin/hearth in it" if named else f"found no installation in {folder}"
        raise FileNotFoundError(f"{found}, expected one: install the wheel of scripts/package, or set HEARTH_PREFIX to a folder with bin/hearth")
    return folder


def program() -> Path:
    """The command `hearth`."""
    return prefix() / "bin" / "hearth"


def cmake_dir() -> Path:
    """The folder with HearthConfig.cmake, for `cmake -DHearth_DIR=`."""
    return prefix() / "lib" / "cmake" / "Hearth"


def environment() -> "dict[str, str]":
    """That of this process, with HEARTH_LIBTORCH at the torch of this Python, unless it is set."""
    out = dict(os.environ)
    if not out.get("HEARTH_LIBTORCH"):
        torch = importlib.util.find_spec("torch")
        if torch is not None and torch.submodule_search_locations:
            out["HEARTH_LIBTORCH"] = list(torch.submodule_search_locations)[0]
    return out
