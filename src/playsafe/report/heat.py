"""Coloured tables: attack success by suite as it was asked, measures by language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from playsafe.metrics import Measure
from playsafe.records import parts
from playsafe.report.closing import association, closing
from playsafe.report.figures import SYMBOLS
from playsafe.report.text import DASH, Table, apart, number, percent, points, shown
from playsafe.results import attacks
from playsafe.results.languages import Languages, reward_points, spelled
from playsafe.results.load import BASE
from playsafe.results.numbers import Numbers, Stat

TURNS = {"none": "none", "empty": "empty", "role": "role prompt"}
Cells = dict[tuple[Measure, str, str], tuple[Stat | None, str]]  # measure, method, language → number and unit


class Cell(NamedTuple):
    """hot: the colour tells its value, a share; the worse the more."""

    stat: Stat | None
    unit: str
    hot: bool = False


class Group(NamedTuple):
    """Rows under one title ("" for none): the name of each and its cells."""

    title: str
    rows: list[tuple[str, list[Cell]]]


class Heat(NamedTuple):
    """head: rows of (name, [(text, columns it spans)])."""

    label: str
    head: list[tuple[str, list[tuple[str, int]]]]
    groups: list[Group]


# --- attacks ----------------------------------------------------------------------------------------------


def jailbreaks(numbers: Numbers) -> dict[str, Any]:
    """A coloured table for each judge, and the same numbers in plain rows."""
    runs, cells = numbers.runs, attacks.measured(numbers)
    judges = list(dict.fromkeys(judge for judge, _, _ in cells)) if any(cells.values()) else []
    keys = runs.keys("harmful")
    return {
        "heats": [(judge, _by_judge(numbers, cells, judge)) for judge in judges],
        "titled": len(judges) > 1 or len(runs.judges) > 1,
        "attacked": any(parts(key)[1] for key in keys),
        "twin": Table("attacks", *attack_rows(cells)),
    }


def attack_rows(cells: attacks.Cells) -> tuple[list[str], list[list[str]]]:
    rows = []
    for (judge, method, key), stat in cells.items():
        suite, attack, system = parts(key)
        values = [percent(value) for value in stat[:3]] if stat else [DASH] * 3
        found = [*values, str(stat.n) if stat else "0", stat.how if stat else DASH]
        rows.append([judge, method, suite, attack or "none", TURNS.get(system, system), *found])
    head = ["judge", "method", "suite", "attack", "system turn", "attack success", "low", "high", "n", "how"]
    return head, rows


def _by_judge(numbers: Numbers, cells: attacks.Cells, judge: str) -> Heat:
    runs, keys = numbers.runs, numbers.runs.keys("harmful")
    unit = runs.about("attack")[0].unit
    rows = [
        (method, [Cell(cells[judge, method, key], unit, True) for key in keys])
        for method in [BASE, *runs.methods]
        if any(cells[judge, method, key] for key in keys)
    ]
    return Heat(f"attack success by {judge}", _head(keys), [Group("", rows)])


def _head(keys: list[str]) -> list[tuple[str, list[tuple[str, int]]]]:
    """A row of suites, of attacks and of system turns, each name over its columns; rows that say nothing are
    left out."""
    levels = [[parts(key)[: level + 1] for key in keys] for level in range(3)]
    rows = []
    for level, (name, places) in enumerate(zip(("suite", "attack", "system turn"), levels, strict=True)):
        if level and {place[level] for place in places} <= {"", "none"}:
            continue
        spans = [
            (TURNS.get(p[2], p[2]) if level == 2 else p[level] or "no attack", places.count(p))
            for p in dict.fromkeys(places)
        ]
        rows.append((name, spans))
    return rows


# --- languages --------------------------------------------------------------------------------------------


def languages(numbers: Numbers) -> dict[str, Any]:
    """Attack success and its distance between languages, the other measures, reward gap against attacks."""
    runs = numbers.runs
    by_turn = {turn: measured(Languages(numbers, turn)) for turn in runs.systems}
    by_turn = {turn: cells for turn, cells in by_turn.items() if cells}
    attack = runs.about("attack")[0]
    rows = [row for turn, cells in by_turn.items() for row in language_rows(turn, cells)]
    columns = ["system turn", "measure", "method", "language", "value", "low", "high", "n", "interval"]
    return {
        "measured": bool(by_turn),
        "closing": closing(numbers)[:1],
        "judge": numbers.judge_of(attack.name),
        "attacked": _heats(numbers, by_turn, [attack]),
        "others": _heats(numbers, by_turn, [m for m in Languages(numbers).measures if m is not attack]),
        "distances": [
            (f"system turn: {TURNS.get(t, t)}", table) for t in by_turn if (table := _distance(numbers, t))
        ],
        "dominant": spelled(str(runs.dominant)),
        "twin": Table("by-language", columns, rows),
        "symbols": [f"{SYMBOLS[n % len(SYMBOLS)]} {TURNS.get(t, t)}" for n, t in enumerate(runs.systems)],
        "association": association(reward_points(numbers)),
    }


def measured(found: Languages) -> Cells:
    """Measure, method, language → number; measures without any number are left out. Of measures on a log
    scale the methods have their change against the aligned model."""
    cells: Cells = {}
    for metric in found.measures:
        own: Cells = {}
        for method in [BASE, *found.runs.methods]:
            for language in found.runs.languages:
                changed = metric.log and method != BASE
                work = found.change if changed else found.measured
                unit = apart(metric) if changed else metric.unit
                own[metric, method, language] = (work(method, metric, language), unit)
        if any(stat for stat, _ in own.values()):
            cells |= own
    return cells


def language_rows(system: str, cells: Cells) -> list[list[str]]:
    rows = []
    for (metric, method, language), (stat, unit) in cells.items():
        if stat is not None:
            name = metric.heading + (", change" if unit == "change" else "")
            values = [number(value, unit) for value in stat[:3]]
            turn = TURNS.get(system, system)
            rows.append([turn, name, method, spelled(language), *values, str(stat.n), stat.how])
    return rows


def _heats(numbers: Numbers, by_turn: dict[str, Cells], metrics: Sequence[Measure]) -> list[tuple[str, Heat]]:
    """One coloured table a system turn: a group of rows a measure, a row a method, a column a language."""
    runs, panels = numbers.runs, []
    head = [("language", [(spelled(language), 1) for language in runs.languages])]
    for turn, cells in by_turn.items():
        groups = []
        for metric in (m for m in metrics if any(m is place[0] for place in cells)):
            rows = []
            for method in [BASE, *runs.methods]:
                found = [cells[metric, method, language] for language in runs.languages]
                if any(stat for stat, _ in found):
                    rows.append((method, [Cell(*one, metric.aspect == "attack") for one in found]))
            change = "; of a method, change against the aligned model" if metric.log else ""
            title = f"{metric.heading}: {metric.summary}{change} ({metric.better} is better)"
            groups.append(Group(title, rows))
        if groups:
            panels.append(
                (f"system turn: {TURNS.get(turn, turn)}", Heat("measures by language", head, groups))
            )
    return panels


def _distance(numbers: Numbers, turn: str) -> Table | None:
    """Levels, distance and closed share of every method; None without two languages to compare."""
    found, rows = Languages(numbers, turn), []
    for method in [BASE, *numbers.runs.methods]:
        levels = found.levels(method)
        if any(levels.values()):
            part = found.closed(method) if method != BASE else None
            both = [shown(stat, "share") for stat in levels.values()]
            rows.append([method, *both, points(found.apart(method), "share"), shown(part, "share")])
    columns = ["method", *found.levels(BASE), "difference (points)", "closed"]
    return Table(f"closing-{numbers.runs.systems.index(turn)}", columns, rows) if rows else None
