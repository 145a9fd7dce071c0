"""Words of the embedded world, in four languages: the tables of lexicon.yaml, lists as tuples."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from playsafe.settings import read_yaml


def __getattr__(name: str) -> Any:
    if name.isupper():
        return _tables()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _tables() -> dict[str, Any]:
    return _frozen(read_yaml(Path(__file__).with_suffix(".yaml")))


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
