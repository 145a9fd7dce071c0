"""Judges: one file each, and this folder is the registry.

A judge says of each completion whether it refuses, complies or is no usable answer, and which span of the
reply decided it. What it cannot read is an error or "unparsed", never "safe".
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Protocol

from playsafe.errors import BadInput, nearest
from playsafe.records import Completion, Prompt, Verdict


class Judge(Protocol):
    """What a judge file provides as `JUDGE`. `version` changes whenever a verdict could."""

    name: str
    version: str
    summary: str

    def judge(self, items: Sequence[tuple[Prompt, Completion]]) -> list[Verdict]:
        """One verdict per item, in order; a completion with finish "error" gets state "error"."""


def names() -> list[str]:
    """Names of all judges: the files of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def get(name: str) -> Judge:
    """The judge of that name; BadInput names the nearest one."""
    if name not in names():
        raise BadInput(
            f"unknown judge {name!r}. {nearest(name, names())}",
            where="evaluation.judge",
            allowed=", ".join(names()),
        )
    return importlib.import_module(f"{__name__}.{name}").JUDGE
