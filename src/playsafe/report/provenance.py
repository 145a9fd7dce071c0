"""Where the numbers come from: weights, judges, suites, attacks, decoding, versions; and what limits them."""

from __future__ import annotations

import json
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from playsafe.report.tables import interval_note
from playsafe.report.text import DASH, Table
from playsafe.results import formats
from playsafe.results.load import BASE, SYSTEMS, StudyRuns


def section(runs: StudyRuns) -> dict[str, Any]:
    """What the template of the section shows: titled tables, sentences, files."""
    facts = [[key, str(value or DASH)] for key, value in _facts(runs).items()]
    tables = [("", Table("provenance", ["fact", "value"], facts))]
    if runs.is_audit:
        who = [[run.method, run.role or DASH, model_name(run.model) or DASH] for run in runs.every]
        tables.append(("Targets", Table("targets", ["target", "role", "who answered"], who)))
    language = ["language"] if runs.languages else []
    columns = ["suite as it was asked", "kind", *language, "prompts", "source"]
    tables.append(("Judges", Table("judges-of", ["judge", "what its verdicts rest on"], _judges(runs))))
    tables.append(("Suites", Table("suites-of", columns, _suites(runs))))
    files = (("Study configuration", runs.study), ("Environment", runs.provenance))
    return {
        "tables": [(title, table) for title, table in tables if table.rows],
        "note": interval_note(runs),
        "files": [(name, _pretty(value)) for name, value in files if value],
    }


def model_name(described: str) -> str:
    """Who answered without the folders of this machine: "model", "model with adapter"."""
    model, sign, adapter = described.rpartition(" with ")
    return f"{_base_name(model)}{sign}{_base_name(adapter)}"


def _base_name(name: str) -> str:
    """The last part of a path; a hub id ("org/model") and a server's address stay as they are."""
    windows = PureWindowsPath(name)
    if name.startswith(("/", "~", ".")):
        return PurePosixPath(name).name or name
    return windows.name if windows.drive else name


def _facts(runs: StudyRuns) -> dict[str, Any]:
    evaluation = runs.evaluation
    identity = {**runs.identity, **_first(runs, "config.yaml")}
    turns = [SYSTEMS.get(turn, turn).removeprefix(", ") or "none" for turn in runs.systems]
    attacks = [_described(attack) for attack in evaluation.get("attacks") or []]
    decoding = evaluation.get("generation") or {}
    facts = {
        "model weights": identity.get("weights"),
        "chat template": identity.get("template"),
        "dtype": identity.get("dtype"),
        "training seeds": ", ".join(map(str, runs.seeds)),
        "system turns": ", ".join(turns),
        "attacks": "; ".join(attacks) or "none",
        "decoding": ", ".join(f"{key} {value}" for key, value in decoding.items()),
        "gates": "; ".join(map(str, evaluation.get("gates") or [])) or "none",
        "device": runs.provenance.get("device"),
        **(runs.provenance.get("versions") or {}),
    }
    if runs.is_audit:
        del facts["training seeds"]
    return facts


def _described(attack: Any) -> str:
    """An attack's label, its name where that differs, and its options."""
    if not isinstance(attack, dict):
        return str(attack)
    label, name = str(attack.get("label") or attack.get("name")), str(attack.get("name"))
    given = attack.get("options") or {}
    options = ", ".join(f"{key} {_base_name(str(value))}" for key, value in given.items())
    about = ", ".join(filter(None, [name if name != label else "", options]))
    return f"{label} ({about})" if about else label


def _judges(runs: StudyRuns) -> list[list[str]]:
    identities = (_first(runs, "evaluation.json").get("about") or {}).get("judges") or {}
    facts = {judge: (identities.get(judge) or {}).items() for judge in runs.judges}
    return [
        [j, ", ".join(f"{key} {_short(value)}" for key, value in own) or DASH] for j, own in facts.items()
    ]


def _suites(runs: StudyRuns) -> list[list[str]]:
    """A line per suite as it was asked; references differ from role to role and are counted together."""
    rows: dict[str, list[str]] = {}
    for key, what in ((key, what) for run in runs.every for key, what in run.asked.items()):
        skipped = f", {what['skipped']} skipped" if what.get("skipped") else ""
        language = [str(what.get("language") or DASH)] if runs.languages else []
        asked = [f"{what.get('prompts', DASH)}{skipped}", str(what.get("source") or DASH)]
        rows.setdefault(key, [key, str(what["kind"]), *language, *asked])
    kinds = ("harmful", "dark", "benign", "task", "pairs", "references")
    return [rows[key] for kind in kinds for key in runs.keys(kind)]


def _first(runs: StudyRuns, name: str) -> dict[str, Any]:
    """A file of the first run that has it; runs of one study agree in what is taken from it."""
    every = sorted(runs.every, key=lambda run: run.method != BASE)
    return next((found for run in every if (found := formats.optional(run.path, name))), {})


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
