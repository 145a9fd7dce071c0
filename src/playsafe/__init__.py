"""Measure and prevent the loss of safety that role-play fine-tuning causes.

`load_study` reads a study, `plan` shows its jobs, `run` does them (`score`, `train`, `evaluate` some of
them), `load_results` reads what they left: see docs/api.md. Nothing is imported before it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playsafe.api import evaluate, load_results, load_study, plan, run, score, train

    __version__: str

__all__ = ["evaluate", "load_results", "load_study", "plan", "run", "score", "train"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("playsafe.api"), name)
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("playsafe")
        except PackageNotFoundError:  # a source tree on the path without an installation
            return "0+source"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
