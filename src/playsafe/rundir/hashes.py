"""Hashes of settings, and seals of files that are finished."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def canonical(value: Any) -> str:
    """JSON with sorted keys, the form that is hashed."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def digest(value: Any) -> str:
    """SHA-256 (first 16 hex digits) of a JSON-able value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def seals(folder: Path, names: Iterable[str]) -> dict[str, list[Any]]:
    """Of each of these files that is there: number of lines and SHA-256, so that a lost line shows.

    A name that leads out of the folder is of no file: summaries may come from anywhere.
    """
    found = {}
    for name in names:
        if (path := inside(folder, name)) is not None and path.is_file():
            lines, sha256 = 0, hashlib.sha256()
            with path.open("rb") as file:
                while part := file.read(1 << 20):
                    lines += part.count(b"\n")
                    sha256.update(part)
            found[name] = [lines, sha256.hexdigest()]
    return found


def broken_seals(folder: Path, sealed: Any) -> list[str]:
    """Which of these files are missing or hold something else than when they were sealed."""
    sealed = sealed if isinstance(sealed, dict) else {}
    now = seals(folder, sealed)
    return [name for name, seal in sealed.items() if now.get(name) != seal]


def inside(folder: Path, name: str) -> Path | None:
    """The path of a name in a folder; None where it leads out of it, by its parts or through a link."""
    try:
        path = folder / name
        path.exists()  # raises for names that no file can have
        return path if path.resolve().is_relative_to(folder.resolve()) else None
    except (OSError, ValueError, RuntimeError):  # too long, a NUL byte, links in a circle
        return None
