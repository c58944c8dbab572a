"""A run folder (docs/run-folder.md) as numpy arrays and pandas frames. Nothing is written into it."""
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Optional, Sequence

import numpy as np
import numpy.typing as npt

from .arrays import RunError, as_arrays, pandas, read, read_object
from .features import Features, PathLike, embed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Run", "RunError"]

RESULTS = ("eval", "detect", "restorations", "quarantine")


def _flat(line: "dict[str, Any]", before: str = "") -> Iterator["tuple[str, Any]"]:
    for key, value in line.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def _by_class(found: "dict[str, Any]") -> "dict[str, Any]":
    """eval.json with what it has of each row and class as [N, C]; the file holds it row after row."""
    classes = len(found.get("classes", []))
    scores = [{**score, "probabilities": np.reshape(score["probabilities"], (-1, classes))} if classes else score for score in found["scores"]]
    labels = np.reshape(found["labels"], (-1, classes)) if found.get("several") and classes else found["labels"]
    return {**found, "labels": labels, "scores": scores}


class Run:
    """What `hearth train` wrote into a folder.

        run = hearth.Run("runs/afire/20261124-200130")
        run.state["status"]                  # "finished"
        steps, loss = run.series("loss")     # int64 [N], float64 [N]

    RunError where the folder holds no run. A run that still goes on can be read: each call reads anew.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        if not (self.path / "run.json").is_file():
            found = "found no run.json in it" if self.path.is_dir() else "found no such folder"
            raise RunError(f"{self.path}: {found}, expected a run's folder, as `hearth runs list` shows them")

    def __repr__(self) -> str:
        return f"hearth.Run({str(self.path)!r})"

    @property
    def state(self) -> "dict[str, Any]":
        """run.json: status, step, epoch, best, .."""
        return read_object(self.path / "run.json")

    def lines(self, event: Optional[str] = None) -> "list[dict[str, Any]]":
        """metrics.jsonl with keys as `terms.restoration.error`: the reports, or the lines of an event ("probe", "validate", ..)."""
        out = []
        file = self.path / "metrics.jsonl"
        for number, text in enumerate(file.read_text(encoding="utf-8").splitlines() if file.exists() else [], 1):
            try:
                line = json.loads(text)
            except ValueError as problem:
                raise RunError(f"{file}:{number}: found no JSON ({problem}), expected a line that `hearth train` wrote") from problem
            if line.get("event") == event:
                out.append(dict(_flat(line)))
        return out

    def series(self, key: str, event: Optional[str] = None) -> "tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]":
        """Steps [N] and values [N] of one key of the lines that have it; NaN for null. KeyError where none has, or it is no number."""
        lines = self.lines(event)
        pairs = [(line["step"], line[key]) for line in lines if key in line]
        if not pairs or any(isinstance(value, (str, list, bool)) for _, value in pairs):
            known = sorted({name for line in lines for name, value in line.items() if isinstance(value, (int, float))})
            found = "no numbers" if pairs else "none"
            raise KeyError(f"{key}: found {found} in metrics.jsonl of {self.path}, expected one of {', '.join(known) or 'nothing yet'}")
        values = np.array([np.nan if value is None else value for _, value in pairs], dtype=np.float64)
        return np.array([step for step, _ in pairs], dtype=np.int64), values

    def metrics(self, event: Optional[str] = None) -> "pd.DataFrame":
        """The reports, or the lines of an event, as a frame with a row each; ImportError without pandas."""
        found: "pd.DataFrame" = pandas("Run.metrics (Run.series does without)").DataFrame(self.lines(event))
        return found

    def results(self) -> "dict[str, Any]":
        """What was found, by file: "eval", "detect", "restorations", "quarantine", those that are there. Lists of numbers are
        arrays: results()["eval"]["labels"] is int64 [N] (with several labels [N, C]; -1: not known), ["scores"][0]["probabilities"]
        float64 [N, C]."""
        files = {name: self.path / f"{name}.json" for name in RESULTS}
        found = {name: as_arrays(read(file)) for name, file in files.items() if file.exists()}
        if "eval" in found:
            found["eval"] = _by_class(found["eval"])
        return found

    def scores(self) -> "pd.DataFrame":
        """The scores of eval.json: model, classifier, auc with low and high, accuracy, f1. RunError where nothing was evaluated."""
        module = pandas("Run.scores (Run.results does without)")
        file = self.path / "eval.json"
        if not file.exists():
            raise RunError(f"{self.path}: found no eval.json, expected one: `hearth probe {self.path}` writes it")
        rows = [
            [score["model"], score["classifier"], *(score["auc"][part] for part in ("value", "low", "high")), score["accuracy"], score["f1"]]
            for score in read_object(file)["scores"]
        ]
        numbers = ["auc", "auc_low", "auc_high", "accuracy", "f1"]
        found: "pd.DataFrame" = module.DataFrame(rows, columns=["model", "classifier", *numbers]).astype(dict.fromkeys(numbers, float))
        return found

    def image_scores(self) -> "pd.DataFrame":
        """scores.csv of [detect], a row an image. RunError where there is none."""
        file = self.path / "scores.csv"
        if not file.exists():
            raise RunError(f"{self.path}: found no scores.csv, expected one: a run with [detect] has it")
        found: "pd.DataFrame" = pandas("Run.image_scores").read_csv(file)
        return found

    def features(self, source: PathLike, *, checkpoint: Optional[str] = None, network: Optional[str] = None,
                 features: Optional[str] = None, where: Optional[str] = None, columns: Sequence[str] = ()) -> Features:
        """Features of every image of a folder or manifest: `hearth embed`, whose options these are. RunError with what it said
        where it fails."""
        options = {"--checkpoint": checkpoint, "--network": network, "--features": features, "--where": where,
                   "--columns": ",".join(columns) or None}
        return embed(self.path, source, [word for flag, value in options.items() if value is not None for word in (flag, value)])
