"""Hearth from Python: what a run measured and found, as numpy arrays and pandas frames, and where its program is.

    run = hearth.Run("runs/afire/20261124-200130")
    steps, loss = run.series("loss")
"""
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .features import Features, load_features
    from .program import cmake_dir, program
    from .run import Run, RunError

__all__ = ["Features", "Run", "RunError", "cmake_dir", "load_features", "program"]

_WHERE = {"Features": "features", "Run": "run", "RunError": "run", "cmake_dir": "program", "load_features": "features", "program": "program"}


def __getattr__(name: str) -> Any:
    """Loads a part when it is first asked for: the command `hearth`, which passes here, then needs no numpy."""
    if name not in _WHERE:
        raise AttributeError(f"module 'hearth' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module("." + _WHERE[name], __name__), name)
