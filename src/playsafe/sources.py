"""From the configuration to roles, rows and suites; embedded ones are files like the user's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from playsafe.config import DataConfig, EvaluationConfig, RolesConfig, SuiteConfig, SuiteKind
from playsafe.data import catalogue
from playsafe.data.dialogues import load_dialogues
from playsafe.data.files import read_rows, string
from playsafe.data.language import LANGUAGES, main_language
from playsafe.data.pairs import Side, load_pairs
from playsafe.data.roles import find_role, load_roles
from playsafe.data.suites import load_suite
from playsafe.errors import BadInput, nearest
from playsafe.provenance import file_hash
from playsafe.records import Dialogue, Message, Prompt, Role
from playsafe.rundir import digest
from playsafe.tiny.names import What, path_of


@dataclass(frozen=True, slots=True)
class RoleData:
    """A role with its training rows and its held-out references; a hash of each names all of their texts."""

    role: Role
    train: tuple[Dialogue, ...]
    references: tuple[Dialogue, ...]
    counts: dict[str, int]
    hash: str
    references_hash: str


@dataclass(frozen=True, slots=True)
class PromptSet:
    """A suite's prompts. source: file, hash and what was taken of it, for the record. language: of the
    prompts, "" where it is not declared."""

    name: str
    kind: SuiteKind
    prompts: tuple[Prompt, ...]
    hash: str
    source: str
    language: str = ""


def roles(config: RolesConfig) -> list[Role]:
    """The chosen roles, in the order of `names` or of the file. Raises BadInput for an unknown name."""
    known = list(load_roles(path_of(config.path, "roles", "roles.path")))
    return [find_role(known, name) for name in config.names] if config.names is not None else known


def role_data(config: DataConfig, role: Role) -> RoleData:
    """Training rows and references of one role. Without a references file `held_out` rows are kept back."""

    def file(path: str, what: What) -> Path:
        return Path(path_of(path, what, f"data.{what}").replace("{role}", role.name))

    path = file(config.path, "rows")
    loaded = load_dialogues(path, role=role.name, replies=config.replies)
    rows = list(loaded.dialogues)
    if config.references is not None:
        held = load_dialogues(file(config.references, "references"), role=role.name).dialogues
    else:
        questions = sorted({row.messages for row in rows}, key=lambda m: digest([t.content for t in m]))
        random.Random(config.seed).shuffle(questions)
        if config.held_out > len(questions) // 2 and "held_out" in config.model_fields_set:
            raise BadInput(
                f"{config.held_out} held-out rows are over half of {len(questions)} different dialogues.",
                where=str(path),
                next="Lower data.held_out, or name a file in data.references.",
            )
        kept_back = set(
            questions[: min(config.held_out, len(questions) // 2)]
        )  # by question: several replies to one stay together
        held = tuple({row.messages: row for row in reversed(rows) if row.messages in kept_back}.values())
        rows = [row for row in rows if row.messages not in kept_back]
    counts = {
        **loaded.counts,
        "held_out": len(held),
        "over_limit": max(0, len(rows) - (config.limit or len(rows))),
    }
    return _role_data(role, tuple(rows[: config.limit]), held, counts)


def known_suite(config: SuiteConfig) -> catalogue.Known | None:
    """The known suite that is meant, None where the user says what a file holds. Raises BadInput."""
    name = config.suite or (config.name if config.kind is None or config.name in catalogue.names() else None)
    return catalogue.get(name, f"evaluation.suites.{config.name}") if name is not None else None


def kind_of(config: SuiteConfig) -> SuiteKind | None:
    """The kind of a suite, without reading it."""
    return known.kind if (known := known_suite(config)) is not None else config.kind


def suite(config: SuiteConfig, evaluation: EvaluationConfig) -> PromptSet:
    """The prompts of one configured suite: a known one, found by its hash, or a file. Rows of roles with
    their own replies stand each for itself; of other prompts those that say the same are one trial."""
    found = _read(config, evaluation)
    return found if found.kind == "references" else _by_request(found)


def _by_request(found: PromptSet) -> PromptSet:
    """Prompts that say the same, whatever their ids, are one trial; the set says how many repeat another."""
    first: dict[tuple[Message, ...], str] = {}
    for prompt in found.prompts:
        first.setdefault(prompt.messages, prompt.trial or prompt.id)
    repeated = len(found.prompts) - len(first)
    if not repeated:
        return found
    prompts = tuple(replace(prompt, trial=first[prompt.messages]) for prompt in found.prompts)
    source = f"{found.source}, {repeated} of them the same request as an earlier one"
    return replace(found, prompts=prompts, source=source)


def _read(config: SuiteConfig, evaluation: EvaluationConfig) -> PromptSet:
    where = f"evaluation.suites.{config.name}"
    path = None if config.path is None else Path(path_of(config.path, "suite", where))
    if (known := known_suite(config)) is not None:
        return _known(known, config, evaluation, where)
    if path is None or config.kind is None:
        raise BadInput(
            f"{config.name!r} has no {'path' if path is None else 'kind'}. "
            f"{nearest(config.name, catalogue.names())}",
            where=where,
            next="Known suites (`playsafe suites`) need their name alone.",
        )
    language = config.language or ""
    if config.language is not None and language not in LANGUAGES:
        raise BadInput(
            f"{language!r} is no language that can be told from others.",
            where=f"{where}.language",
            allowed=", ".join(sorted(LANGUAGES)),
        )
    if config.kind == "pairs":
        return _pairs(config, path, language, where)
    given = config.model_dump(include={"name", "column", "subset", "limit", "seed"})
    loaded = load_suite(path, **given, answers=config.kind == "task")
    return PromptSet(config.name, config.kind, loaded.prompts, loaded.sha256[:16], loaded.source, language)


def pair_suites(
    path: str, languages: Sequence[str] | None = None, limit: int | None = None
) -> list[PromptSet]:
    """The pairs of a file ("tiny": the held-out ones), a suite a language; these languages alone."""
    file = path_of(path, "held-out pairs", "pairs")
    known = list(dict.fromkeys(side.language for side in _sides(Path(file))))
    for language in languages or ():
        if language not in known:
            raise BadInput(
                f"{path} has no pairs in {language!r}.", where="language", allowed=", ".join(known)
            )
    shared: dict[str, Any] = {"kind": "pairs", "path": file, "limit": limit}
    chosen = [SuiteConfig(name=f"pairs-{code}", language=code, **shared) for code in languages or known]
    return [suite(config, EvaluationConfig()) for config in chosen]


def _pairs(config: SuiteConfig, path: Path, language: str, where: str) -> PromptSet:
    """One language of a file of parallel pairs; which of its languages is dominant does not matter here."""
    if not language:
        raise BadInput("pairs need a language.", where=where, next="Set the suite's language.")
    every = _sides(path)
    found = tuple(dict.fromkeys(side for side in every if side.language == language))
    whole = [s for s in found if all(t.strip() for t in (s.messages[-1].content, s.chosen, s.rejected))]
    if not whole:
        known = sorted({side.language for side in every})
        raise BadInput(f"{path} has no pairs in {language!r}.", where=where, allowed=", ".join(known))
    prompts = tuple(
        Prompt(f"{config.name}:{n}", config.name, side.messages, (side.chosen, side.rejected))
        for n, side in enumerate(whole[: config.limit], 1)
    )
    source = f"{path.name} (sha256 {file_hash(path)}): {len(prompts)} of {len(found)} pairs in {language}"
    source += f", {len(found) - len(whole)} without text left out" if len(found) > len(whole) else ""
    told = digest([[p.id, [m.content for m in p.messages], p.references] for p in prompts])
    return PromptSet(config.name, "pairs", prompts, told, source, language)


def _sides(path: Path) -> list[Side]:
    rows = read_rows(path)
    asked = [turn for _, row in rows for turn in _turns(row.get("source_conversations"))]
    if asked or "source_conversations" in rows[0][1]:  # MPO's format: its source side is the dominant one
        pairs = load_pairs(path, dominant=main_language(asked or [""]))
        return [side for pair in pairs for side in (pair.dominant, pair.target)]
    cells = ("language", "prompt", "chosen", "rejected")
    return [
        Side(language, (Message("user", prompt),), chosen, rejected)
        for place, row in rows
        for language, prompt, chosen, rejected in [
            [string(row.get(key), key, place, empty=key != "language") for key in cells]
        ]
    ]


def _turns(conversation: Any) -> list[str]:
    turns = conversation if isinstance(conversation, list) else []
    return [str(turn.get("value")) for turn in turns if isinstance(turn, dict)]


def _known(
    known: catalogue.Known, config: SuiteConfig, evaluation: EvaluationConfig, where: str
) -> PromptSet:
    if config.kind not in (None, known.kind):
        raise BadInput(f"{known.name} is a {known.kind} suite.", where=f"{where}.kind", allowed=known.kind)
    if config.column is not None:
        raise BadInput("a known suite's columns are fixed.", where=f"{where}.column", next="Remove the key.")
    given = config.model_dump(include={"name", "path", "language", "subset", "limit", "seed"})
    loaded = catalogue.load(known, **given, data_dir=evaluation.data_dir, hub=evaluation.hub, where=where)
    sha256, language = loaded.sha256[:16], config.language or ""
    return PromptSet(config.name, known.kind, loaded.prompts, sha256, loaded.source, language)


def of_role(suite: PromptSet, role: Role) -> PromptSet:
    """A role's rows of a suite whose categories are roles. BadInput where it has none."""
    prompts = tuple(prompt for prompt in suite.prompts if prompt.category == role.name)
    if not prompts:
        known = sorted({prompt.category for prompt in suite.prompts})
        raise BadInput(
            f"{suite.name} has no rows for the role {role.name!r}. {nearest(role.name, known)}",
            where=f"evaluation.suites.{suite.name}",
        )
    return replace(suite, prompts=prompts, source=f"{suite.source}, {len(prompts)} of them {role.name}'s")


def references(data: RoleData) -> PromptSet:
    """The held-out rows as prompts with their references."""
    prompts = tuple(
        Prompt(row.id, "references", row.messages, row.references or (row.reply,)) for row in data.references
    )
    repeated = len(prompts) - len({prompt.messages for prompt in prompts})
    source = f"{len(prompts)} held-out rows"
    source += f", {repeated} with the question of another one" if repeated else ""
    return PromptSet("references", "references", prompts, data.references_hash, source)


def system_text(turn: str, role: Role | None) -> str | None:
    """What a system setting means for a role: nothing, an empty turn, or the role prompt."""
    if turn == "role" and role is not None:
        return role.prompt
    return "" if turn == "empty" else None


def _role_data(
    role: Role, train: tuple[Dialogue, ...], references: tuple[Dialogue, ...], counts: dict[str, int]
) -> RoleData:
    return RoleData(role, train, references, counts, _hash(train), _hash(references))


def _hash(rows: Sequence[Dialogue]) -> str:
    return digest(
        [[row.id, [[m.role, m.content] for m in row.messages], row.reply, row.references] for row in rows]
    )
