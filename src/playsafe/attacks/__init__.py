"""Jailbreaks: one file each, and this folder is the registry.

An attack rewrites prompts and, where the model is asked to answer in a cipher, reads the reply back. Texts
that could carry harm (templates, demonstrations, recorded prompts) come from the user's own files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from playsafe.config import AttackConfig
from playsafe.records import Prompt
from playsafe.registry import Registry
from playsafe.settings import Section


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


REGISTRY: Registry[Attack] = AttackConfig.registry
names, get = REGISTRY.names, REGISTRY.get
