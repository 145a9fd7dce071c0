"""Where everything that has a name is found: a folder of the package, entry points, dotted paths.

A file of the folder that does not begin with "_" holds one object under a fixed attribute (`METHOD`,
`JUDGE`, ...). Somebody else's package offers its own under an entry point of the folder's name
(`[project.entry-points."playsafe.methods"]`), or is named by path: "their.module" or "their.module:OBJECT".
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from playsafe.errors import BadInput, nearest
from playsafe.provenance import file_hash
from playsafe.settings import parse_section

Thing = TypeVar("Thing")


class Registry(Generic[Thing]):
    """One kind of thing. package: its folder and entry-point group. attribute: the object in a module."""

    def __init__(self, package: str, attribute: str, what: str, where: str) -> None:
        self.package, self.attribute, self.what, self.where = package, attribute, what, where

    def names(self) -> list[str]:
        """Of the folder and of the entry points; a dotted path needs no listing."""
        return sorted({*self._own(), *self._offered()})

    def get(self, name: str, where: str = "") -> Thing:
        """The object of that name; BadInput names the nearest one, or what is wrong with a path."""
        if name in self._own():
            return getattr(importlib.import_module(f"{self.package}.{name}"), self.attribute)
        offered = self._offered().get(name)
        if offered is not None or "." in name or ":" in name:
            return self._imported(name if offered is None else offered.value, where)
        raise BadInput(
            f"unknown {self.what} {name!r}. {nearest(name, self.names())}",
            where=where or self.where,
            allowed=f"{', '.join(self.names())}, or the path of a module of yours",
        )

    def options(self, name: str, given: Mapping[str, Any], where: str) -> Any:
        """The validated options of the object of that name. Raises BadInput."""
        taken = getattr(self.get(name, where), "Options", None)
        if taken is None:
            what = f"{name!r} is no {self.what}: it has no Options."
            raise BadInput(what, where=where, next=f"See playsafe.{self.package.partition('.')[2]}.")
        return parse_section(taken, dict(given), f"{where}.options")

    def code(self, name: str) -> str:
        """Hash of the file that a thing of somebody else's stands in; "" for those of the package, whose
        changes are told by its schema."""
        if name in self._own():
            return ""
        offered = self._offered().get(name)
        module = importlib.import_module((name if offered is None else offered.value).partition(":")[0])
        return file_hash(Path(module.__file__))[:16] if module.__file__ else ""

    def _own(self) -> frozenset[str]:
        return _files(self.package)

    def _offered(self) -> dict[str, EntryPoint]:
        return _points(self.package, tuple(sys.path))

    def _imported(self, path: str, where: str) -> Thing:
        module, _, attribute = path.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute or self.attribute)
        except (Exception, SystemExit) as error:  # whatever a module of somebody's does when it is imported
            raise BadInput(
                f"the {self.what} {path!r} cannot be imported: {error or type(error).__name__}.",
                where=where or self.where,
                next="Check the path and that its folder is installed or on PYTHONPATH.",
            ) from None


@cache
def _files(package: str) -> frozenset[str]:
    folder = importlib.import_module(package).__path__
    return frozenset(m.name for m in pkgutil.iter_modules(folder) if not m.name.startswith("_"))


@cache
def _points(group: str, search_path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Kept for one search path: looking through every installed distribution takes a while."""
    return {point.name: point for point in entry_points(group=group)}


def short(name: str) -> str:
    """What a thing is called in directories and tables: the last part of a dotted path."""
    return name.partition(":")[0].rpartition(".")[2]
