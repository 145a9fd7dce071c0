"""What is asked: every suite, plain and under each attack, with each system turn. A pure expansion.

A probe set's key names its files and its estimates: "advbench", "advbench+caesar", "advbench+caesar@role".
Names hold neither "+" nor "@", so a key can be taken apart again (`playsafe.records.parts`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from playsafe import attacks
from playsafe.config import AttackConfig, EvaluationConfig, SystemTurn
from playsafe.errors import BadInput, nearest
from playsafe.metrics import Kind
from playsafe.records import Prompt, key_of
from playsafe.rundir import digest
from playsafe.sources import PromptSet


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """One suite as it is asked.

    source: file, hash and what was taken of it. skipped: ids of prompts that the attack has no text for.
    identity: what its replies rest on besides the model and the decoding. read: undoes the attack's cipher.
    language: of the suite, "" where it is not declared; no reply rests on it, but verdicts do.
    """

    key: str
    kind: Kind
    system: SystemTurn
    prompts: tuple[Prompt, ...]
    source: str
    skipped: tuple[str, ...]
    identity: dict[str, Any]
    read: Callable[[str], str]
    language: str = ""

    def to_json(self) -> dict[str, Any]:
        """For the record, in summary.json."""
        more = {"language": self.language} if self.language else {}
        skipped = {"skipped": len(self.skipped)} if self.skipped else {}
        known = {"kind": self.kind, "prompts": len(self.prompts), "source": self.source}
        return known | {"hash": digest(self.identity)} | more | skipped


def expand(
    config: EvaluationConfig,
    suites: Sequence[PromptSet],
    *,
    systems: Collection[SystemTurn] | None = None,
) -> list[ProbeSet]:
    """Every combination in a fixed order: by suite, then attack (plain first), then system turn.

    systems: these of the configured turns alone.
    """
    turns = [turn for turn in config.system if systems is None or turn in systems]
    found = []
    for suite in suites:
        found += [_plain(suite, turn) for turn in turns]
        for attack in config.attacks:
            if aimed_at(attack, suite):
                found += _attacked(suite, attack, turns)
    return found


def aimed_at(attack: AttackConfig, suite: PromptSet) -> bool:
    """Whether an attack is put on a suite: those it names, or all harmful ones."""
    if attack.suites is None:
        return suite.kind == "harmful"
    if suite.name in attack.suites and suite.kind in ("task", "pairs"):
        raise BadInput(
            f"{suite.name} is a {suite.kind} suite: its references answer the plain prompts.",
            where=f"evaluation.attacks.{attack.key}.suites",
            next="Remove it from the list.",
        )
    return suite.name in attack.suites


def check_aims(config: EvaluationConfig) -> None:
    """BadInput where an attack names a suite that the study does not have."""
    known = [suite.name for suite in config.suites]
    for attack in config.attacks:
        for name in attack.suites or ():
            if name not in known:
                raise BadInput(
                    f"there is no suite {name!r}. {nearest(name, known)}",
                    where=f"evaluation.attacks.{attack.key}.suites",
                    allowed=", ".join(known),
                )


def _plain(suite: PromptSet, system: SystemTurn) -> ProbeSet:
    identity = {"prompts": suite.hash, "system": system}
    key = key_of(suite.name, "", system)
    return ProbeSet(key, suite.kind, system, suite.prompts, suite.source, (), identity, str, suite.language)


def _attacked(suite: PromptSet, config: AttackConfig, systems: Sequence[SystemTurn]) -> list[ProbeSet]:
    attack, options = attacks.get(config.name), config.parsed()
    prompts, skipped = attack.apply(suite.prompts, options)
    code = attacks.REGISTRY.code(config.name)
    asked = attack.identity(options) | ({"code": code} if code else {})
    return [
        ProbeSet(
            key_of(suite.name, config.key, system),
            suite.kind,
            system,
            prompts,
            f"{suite.source}; attack " + ", ".join(f"{key} {value}" for key, value in asked.items()),
            skipped,
            {"prompts": suite.hash, "attack": asked, "system": system},
            lambda text: attack.decode(text, options),
            suite.language,
        )
        for system in systems
    ]
