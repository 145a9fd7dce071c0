"""Which of the runs on disk a study means: those that it asks for, made with one setting; what is left out.

A directory keeps what earlier commands made in it: roles, arms, seeds, suites and judges that are taken out
of the study, runs under another λ or decoding. None of it may stand in a table or a gate as if asked for.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from playsafe import metrics
from playsafe.errors import BadInput
from playsafe.records import parts
from playsafe.results.run import NO_ROLE, Run

BASE = "base"
SHOWN = 6  # names in a sentence
OWN = {"name", "output_dir", "seeds", "cast", "methods", "arms", "targets"}  # may differ in parts of a study


class Meant(NamedTuple):
    """left: a sentence for each reason."""

    runs: list[Run]
    left: tuple[str, ...]


def meant(study: dict[str, Any], runs: Sequence[Run]) -> Meant:
    """The study's runs with what it asks of them. study: as study.json says; without one all are meant."""
    asked = [run for run in runs if not study or _asks_for(study, run)]
    gone = [run.label for run in runs if run not in asked]
    kept, dropped = [], dict[str, None]()
    for run in asked:
        trimmed, names = _trimmed(study, run)
        dropped |= dict.fromkeys(names)
        if trimmed.asked or not run.asked:
            kept.append(trimmed)
    known = {name for run in kept for name in (*run.asked, *run.judges)}
    gone += [name for name in dropped if name not in known]
    recorded = {str(t["name"]) for t in study.get("targets") or [] if t.get("completions")}
    current, stale = _current(_distinct(kept), recorded)
    reasons = (
        ("no longer asked for by the study", gone),
        ("made with other settings than the newest run", stale),
    )
    left = tuple(f"Left out, as {why}: {_some(names)}." for why, names in reasons if names)
    return Meant(current, left)


def cast_of(study: dict[str, Any]) -> set[str] | None:
    """The study's roles; None where it does not say."""
    if "roles" in study and study["roles"] is None:
        return {NO_ROLE}
    named = study.get("cast") or (study.get("roles") or {}).get("names")
    return None if named is None else {*map(str, named)}


def arms_of(study: dict[str, Any]) -> dict[str, bool]:
    """The study's arms, and whether each has seeds."""
    seeded = {label(method): True for method in study.get("methods") or []}
    for arm in study.get("arms") or []:
        seeded[arm["name"]] = seeded.get(arm.get("source"), arm.get("train") is not None)
    return seeded


def label(one: dict[str, Any]) -> str:
    """Of a method, an attack or a judge."""
    return str(one.get("label") or one["name"])


def joined(studies: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Parts of one study that lie side by side, as the whole; BadInput where they are different studies."""
    (place, first), *rest = studies
    for other, study in rest:
        keys = sorted((first.keys() | study.keys()) - OWN)
        differing = [key for key in keys if _of(first, key) != _of(study, key)]
        labels = {label(m): m for m in first.get("methods") or []}
        differing += [
            f"methods.{label(m)}" for m in study.get("methods") or [] if labels.get(label(m), m) != m
        ]
        if differing:
            raise BadInput(
                f"the folder holds different studies: {place} and {other} have another "
                f"{', '.join(differing[:4])}.",
                next="Give the directory of one of them.",
            )
    whole = dict(first)
    for key in ("seeds", "cast", "methods", "arms", "targets"):
        listed = [one for _, study in studies for one in study.get(key) or []]
        whole[key] = [one for n, one in enumerate(listed) if one not in listed[:n]]
    if whole["cast"] == []:
        del whole["cast"]
    return whole


def _of(study: dict[str, Any], key: str) -> Any:
    """A section without what does not change a number: roles that are chosen, gates, what is shown first."""
    section = study.get(key)
    unasked = {"roles": {"names"}, "evaluation": {"gates", "show"}}.get(key, set())
    return {k: v for k, v in section.items() if k not in unasked} if isinstance(section, dict) else section


def _asks_for(study: dict[str, Any], run: Run) -> bool:
    cast, role = cast_of(study), run.role or NO_ROLE
    targets = {(str(t.get("name")), str(t.get("role") or NO_ROLE)) for t in study.get("targets") or []}
    if (run.method, role) in targets:
        return True
    if run.method == BASE:
        return run.role is None or cast is None or role in cast or role in {r for _, r in targets}
    if "methods" not in study and "targets" not in study:
        return True
    arms, seeds = arms_of(study), study.get("seeds")
    if run.method not in arms or (cast is not None and role not in cast):
        return False
    return not (arms[run.method] and seeds) or run.seed in seeds


def _trimmed(study: dict[str, Any], run: Run) -> tuple[Run, list[str]]:
    """A run with the suites and judges that are asked for, and the names of the others."""
    evaluation = study.get("evaluation") or {}
    keys = [key for key, what in run.asked.items() if _asks(evaluation, key, str(what.get("kind")))]
    judges = {metrics.UNJUDGED, *map(label, evaluation.get("judges") or [])}
    heard = [judge for judge in run.judges if judge in judges or "judges" not in evaluation]
    dropped = [*(key for key in run.asked if key not in keys), *(j for j in run.judges if j not in heard)]
    if not dropped:
        return run, []
    told = {metrics.UNJUDGED, *heard}
    estimates = tuple(e for e in run.estimates if e.suite in keys and e.judge in told)
    return replace(run, estimates=estimates, asked={key: run.asked[key] for key in keys}), dropped


def _asks(evaluation: dict[str, Any], key: str, kind: str) -> bool:
    suite, attack, system = parts(key)
    named = {"references", *(str(one["name"]) for one in evaluation.get("suites") or [])}
    if "suites" in evaluation and suite not in named:
        return False
    if system not in (evaluation.get("system") or [system]):
        return False
    if not attack or "attacks" not in evaluation:
        return True
    aims = {label(one): one.get("suites") for one in evaluation["attacks"] or []}
    return attack in aims and (suite in aims[attack] if aims[attack] is not None else kind == "harmful")


def _distinct(runs: Sequence[Run]) -> list[Run]:
    """Each cell once; BadInput where two directories hold different numbers of one."""
    found: dict[Hashable, Run] = {}
    for run in runs:
        known = found.setdefault((run.role, run.method, run.seed), run)
        if known.estimates != run.estimates:
            raise BadInput(
                f"{run.label} was evaluated twice with different numbers: {known.path} and {run.path}.",
                next="Give the directory of one study.",
            )
    return list(found.values())


def _current(runs: Sequence[Run], recorded: set[str]) -> tuple[list[Run], list[str]]:
    """The runs that agree with the newest one in options, decoding and prompts; the others, and in what."""
    newest = sorted(runs, key=lambda run: run.made, reverse=True)
    said: dict[Hashable, Any] = {}  # what the newest run that says anything says
    for run in newest:
        for place, value in _settings(run, recorded):
            said.setdefault(place, value)
    kept, stale = [], []
    for run in runs:
        apart = [
            (place, value, said[place]) for place, value in _settings(run, recorded) if said[place] != value
        ]
        if any(place[0] != "prompts" for place, _, _ in apart):
            stale.append(f"{run.label} ({_differing(apart)})")
            continue
        old = {place[1] for place, _, _ in apart}
        stale += [f"{run.label} · {key} (other prompts)" for key in old]
        estimates = tuple(e for e in run.estimates if e.suite not in old)
        asked = {key: what for key, what in run.asked.items() if key not in old}
        kept.append(replace(run, estimates=estimates, asked=asked) if old else run)
    return kept, stale


def _settings(run: Run, recorded: set[str]) -> Iterable[tuple[tuple[str, ...], Any]]:
    """What a run was made with, each under the name of those with which it must agree. recorded: targets
    whose replies were there already."""
    if run.options:
        yield ("options", run.method), run.options
    generated = any(what.get("kind") != "pairs" for what in run.asked.values())
    if run.decoding and generated and run.method not in recorded:
        yield ("decoding",), run.decoding
    for key, what in run.asked.items():
        own = str(run.role) if what.get("kind") == "references" else ""
        if "hash" in what:
            yield ("prompts", key, own), what["hash"]


def _differing(apart: Sequence[tuple[tuple[str, ...], Any, Any]]) -> str:
    """ "lambda 3.0, not 1.0"."""
    values = [
        f"{name} {mine.get(name)}, not {theirs.get(name)}"
        for place, mine, theirs in apart
        if place[0] != "prompts"
        for name in sorted(mine.keys() | theirs.keys())
        if mine.get(name) != theirs.get(name)
    ]
    return "; ".join(values)


def _some(names: Sequence[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
