"""Measure and prevent the loss of safety that role-play fine-tuning causes.

`load_study` reads a study, `plan` shows its jobs, `run` does them (`score`, `train`, `evaluate` some of
them), `load_results` reads what they left: see docs/api.md. Nothing is imported before it is asked for.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playsafe.api import evaluate, load_results, load_study, plan, run, score, train

__all__ = ["evaluate", "load_results", "load_study", "plan", "run", "score", "train"]

try:
    __version__ = version("playsafe")
except PackageNotFoundError:  # a source tree on the path without an installation
    __version__ = "0+source"


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("playsafe.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
