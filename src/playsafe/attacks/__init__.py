"""Jailbreaks: one file each, and this folder is the registry.

An attack rewrites prompts and, where the model is asked to answer in a cipher, reads the reply back. Texts
that could carry harm (templates, demonstrations, recorded prompts) come from the user's own files.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from playsafe.config import AttackConfig
from playsafe.errors import BadInput, nearest
from playsafe.records import Prompt
from playsafe.settings import Section, parse_section


class Attacked(NamedTuple):
    """prompts: rewritten, each with the plain `request`. skipped: ids that the attack has no text for."""

    prompts: tuple[Prompt, ...]
    skipped: tuple[str, ...] = ()


class Attack(Protocol):
    """What an attack file provides as `ATTACK`. `version` changes whenever a prompt or a reading could.

    A cipher also has `encode(text, options)` and `invert(text, options)`, its exact inverse for every text;
    `decode` equals it on what `encode` makes of ordinary text, and leaves plain replies alone.
    """

    name: str
    version: str
    summary: str
    source: str
    Options: type[Section]

    def apply(self, prompts: Sequence[Prompt], options: Any) -> Attacked:
        """One attacked prompt or more for each prompt, with the ids "<id>" or "<id>/<number>"."""

    def decode(self, reply: str, options: Any) -> str:
        """What a reply says; the reply itself where there is nothing to undo."""

    def identity(self, options: Any) -> dict[str, Any]:
        """Everything that its prompts and readings rest on: name, version, options, hashes of files."""


def names() -> list[str]:
    """Names of all attacks: the files of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def get(name: str) -> Attack:
    """The attack of that name; BadInput names the nearest one."""
    if name not in names():
        raise BadInput(
            f"unknown attack {name!r}. {nearest(name, names())}",
            where="evaluation.attacks",
            allowed=", ".join(names()),
        )
    return importlib.import_module(f"{__name__}.{name}").ATTACK


def parse_options(config: AttackConfig) -> Any:
    """The validated options of one configured attack."""
    return parse_section(get(config.name).Options, config.options, f"evaluation.attacks.{config.key}.options")
