"""Features of images, as `hearth embed` writes them (docs/weights.md)."""
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Sequence, Union

import numpy as np
import numpy.typing as npt

from .arrays import RunError, pandas
from .program import environment, program

if TYPE_CHECKING:
    import pandas as pd

PathLike = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Features:
    """One row an image that could be read, in the order of the manifest."""

    values: "npt.NDArray[np.float32]"  # [N, F]
    columns: "dict[str, npt.NDArray[Any]]"  # text [N] by name: path, patient, label, and what was asked for

    def frame(self) -> "pd.DataFrame":
        """The columns, then f0, f1, ..; ImportError without pandas."""
        module = pandas("Features.frame")
        values = module.DataFrame(self.values, columns=[f"f{i}" for i in range(self.values.shape[1])])
        found: "pd.DataFrame" = module.concat([module.DataFrame(self.columns), values], axis=1)
        return found


def load_features(file: PathLike) -> Features:
    """A .npz of `hearth embed`; RunError where it is none."""
    try:
        with np.load(file, allow_pickle=False) as found:
            columns = {name: found[name] for name in found.files}
    except (OSError, ValueError) as problem:
        raise RunError(f"{file}: found no .npz ({problem}), expected what `hearth embed -o FILE.npz` writes") from problem
    if "features" not in columns:
        raise RunError(f"{file}: found {', '.join(columns) or 'nothing'} in it, expected 'features' as `hearth embed` writes them")
    return Features(columns.pop("features"), columns)


def embed(subject: PathLike, source: PathLike, options: Sequence[str]) -> Features:
    """`hearth embed SUBJECT SOURCE OPTIONS...`; RunError with what it said where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "features.npz"
        command = [str(program()), "embed", os.fspath(subject), os.fspath(source), *options, "-o", str(file)]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RunError(f"hearth embed ended with exit code {done.returncode}: {done.stderr.strip()}")
        return load_features(file)
