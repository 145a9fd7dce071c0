"""Where long work tells how far it is; the command line shows it."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Reporter(Protocol):
    """Where progress goes; the command line shows it."""

    def task(self, label: str, total: int | None) -> AbstractContextManager[Callable[..., None]]:
        """A bar of `total` steps; calling it with n, and optionally a new total, advances it by n."""

    def note(self, text: str) -> None: ...


class Silent:
    """A reporter that says nothing."""

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Callable[..., None]]:
        yield lambda n, total=None: None

    def note(self, text: str) -> None:
        pass


def quieten() -> None:
    """Libraries keep their own bars and pings to themselves; progress is ours to show."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # read when it is imported, which may never be
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    if (transformers := sys.modules.get("transformers")) is not None:
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
