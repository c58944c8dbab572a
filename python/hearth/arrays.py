"""What Hearth writes as JSON, with its lists of numbers as numpy arrays, and pandas only where it is there."""
import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np


class RunError(Exception):
    """A folder or a file is not what a run of Hearth writes: says what was found and what was expected."""


def _is_numeric(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def as_arrays(value: Any) -> Any:
    """The same with every list of numbers, or of such lists of one length, as an array: int64, or float64 with NaN for null."""
    if isinstance(value, dict):
        return {key: as_arrays(entry) for key, entry in value.items()}
    if not isinstance(value, list) or not value:
        return value
    if all(_is_numeric(entry) for entry in value) and any(entry is not None for entry in value):
        whole = all(isinstance(entry, int) for entry in value)
        return np.array([np.nan if entry is None else entry for entry in value], dtype=np.int64 if whole else np.float64)
    entries = [as_arrays(entry) for entry in value]
    if all(isinstance(entry, np.ndarray) for entry in entries) and len({entry.shape for entry in entries}) == 1:
        return np.stack(entries)
    return entries


def read(file: Path) -> Any:
    """The JSON of a file; RunError where it is none."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise RunError(f"{file}: found no JSON ({problem}), expected what `hearth` writes") from problem


def read_object(file: Path) -> "dict[str, Any]":
    """The same of a file that holds an object."""
    found = read(file)
    if not isinstance(found, dict):
        raise RunError(f"{file}: found {type(found).__name__}, expected an object")
    return found


def pandas(what: str) -> ModuleType:
    """The module, or ImportError that says how to get it and how to do without."""
    try:
        return importlib.import_module("pandas")
    except ImportError as problem:
        raise ImportError(f'{what} makes a pandas frame and found no pandas: pip install "hearth[pandas]"') from problem
