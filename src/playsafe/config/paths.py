"""Where the files lie that a study names: beside its own file, or where the command was given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playsafe.errors import BadInput

_PLACES = (  # keys whose value may be a path; * is every entry of a list, or every key of a mapping
    "output_dir",
    "model.name_or_path",
    "model.adapter",
    "roles.path",
    "data.path",
    "data.references",
    "pairs.path",
    "evaluation.data_dir",
    "evaluation.suites.*.path",
    "evaluation.judges.*.options.*",
    "evaluation.attacks.*.options.*",
    "targets.*.adapter",
    "targets.*.model",
    "targets.*.model.name_or_path",
    "targets.*.completions",
)


def located(raw: dict[str, Any], folder: Path | None = None) -> None:
    """Expand `~`, and lead relative paths to what lies in `folder`; others, and where results go, stay.
    Changes `raw`."""
    for place in _PLACES:
        for holder, key in _holders(raw, place.split(".")):
            value = holder[key]
            if not isinstance(value, str) or not value:
                continue
            holder[key] = value = home(value, place)
            if folder is not None and place != "output_dir" and _lies_in(folder, value):
                holder[key] = str(folder / value)


def home(path: str, where: str = "") -> str:
    """A path with its `~`. BadInput for a user who is not known."""
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        raise BadInput(
            f"{path!r}: there is no such user.", where=where, next="Write the path whole."
        ) from None


def _holders(node: Any, keys: list[str]) -> Iterator[tuple[Any, Any]]:
    """Where a place is in the tree: what holds it, and under which key."""
    first, *rest = keys
    if first == "*":
        inner = range(len(node)) if isinstance(node, list) else [*node] if isinstance(node, dict) else []
    else:
        inner = [first] if isinstance(node, dict) and first in node else []
    for key in inner:
        if rest:
            yield from _holders(node[key], rest)
        else:
            yield node, key


def _lies_in(folder: Path, value: str) -> bool:
    """Whether a relative path leads to something there; of rows by role, to their folder."""
    path, by_role, _ = value.partition("{role}")
    found = folder / (path if not by_role else Path(path).parent if not path.endswith("/") else path)
    try:
        return not Path(value).is_absolute() and found.exists() and value not in (".", "")
    except (OSError, ValueError):  # too long for a name, or no name
        return False
