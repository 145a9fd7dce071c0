"""Tables of a study: the summary, the paired differences, and every estimate as it is stored."""

from __future__ import annotations

import numpy as np

from playsafe.report.analysis import Numbers, Stat
from playsafe.report.load import BASE, StudyRuns
from playsafe.report.markup import DASH, count, ends, number, percent
from playsafe.statistics import holm, mcnemar

UNITS = {"refusal": "share", "over_refusal": "share", "rouge_l": "score"}
NAMES = {"refusal": "refusal", "over_refusal": "over-refusal", "rouge_l": "ROUGE-L"}
COLUMNS = ["role", "temper", "method", "refusal", "over-refusal", "ROUGE-L", "flagged"]
EVERY_ROLE = "all roles"


def shown(stat: Stat | None, unit: str, interval: bool = True) -> str:
    """ "71.2 % [64.0, 77.5]", or a dash where nothing was measured."""
    if stat is None:
        return DASH
    value = number(stat.value, unit)
    return f"{value} {ends(stat.low, stat.high, unit)}" if interval else value


def points(stat: Stat | None, unit: str) -> str:
    """A difference with its sign, shares in percentage points."""
    if stat is None:
        return DASH
    scale, digits = (100, 1) if unit == "share" else (1, 3)
    value, low, high = (f"{scale * x + 0.0:+.{digits}f}".replace("-", "−") for x in stat[:3])
    return f"{value} [{low}, {high}]"


def summary_table(
    runs: StudyRuns, *, intervals: bool = False, numbers: Numbers | None = None
) -> tuple[list[str], list[list[str]]]:
    """A row per role and method, seeds pooled and suites averaged; the aligned model first.

    Refusal always carries its interval; with `intervals` the other two measures do as well. The aligned
    model stands in one row where it was asked without role prompts, else in one per role. flagged: share of
    the role's rows above the RDS threshold, a property of the role.
    """
    numbers = numbers or Numbers(runs)
    rows = []
    shared = {*runs.suites("harmful"), *runs.suites("benign")}
    if runs.base and all(run.role is None for run in runs.base if shared & run.asked.keys()):
        means = {metric: numbers.mean(BASE, metric) for metric in UNITS}
        rows.append([EVERY_ROLE, DASH, BASE, *_measures(means, intervals), DASH])
    elif runs.base:
        rows += [_row(numbers, role, BASE, intervals) for role in runs.roles]
    for role in runs.roles:
        rows += [_row(numbers, role, method, intervals) for method in runs.methods if runs.cell(role, method)]
    return list(COLUMNS), rows


def difference_table(numbers: Numbers) -> tuple[list[str], list[list[str]]]:
    """Every method against the aligned model and against plain fine-tuning, over all roles and per temper."""
    runs = numbers.runs
    groups = [(EVERY_ROLE, runs.roles)]
    if len(runs.tempers) > 1:
        groups += [(temper or DASH, runs.of_temper(temper)) for temper in runs.tempers]
    rows = []
    for a, b in _pairs(runs):
        for name, roles in groups:
            found = {metric: numbers.difference(a, b, metric, roles) for metric in UNITS}
            if any(found.values()):
                cells = [points(stat, UNITS[metric]) for metric, stat in found.items()]
                both = {role for metric in UNITS for role in numbers.common((a, b), metric) if role in roles}
                rows.append([f"{a} − {b}", name, str(len(both)), *cells])
    return ["difference", "roles", "n roles", *(f"{NAMES[m]}" for m in UNITS)], rows


def mcnemar_table(numbers: Numbers) -> tuple[list[str], list[list[str]]]:
    """Per comparison and role: exact McNemar test of refusal, first seeds; Holm's adjustment over roles."""
    runs, rows = numbers.runs, []
    for a, b in _pairs(runs):
        counted = [(role, found) for role in runs.roles if (found := _discordant(numbers, role, a, b))]
        adjusted = holm([mcnemar(only_a, only_b) for _, (_, only_a, only_b) in counted])
        for (role, (n, only_a, only_b)), p in zip(counted, adjusted, strict=True):
            cells = [str(n), str(only_a), str(only_b), _p(mcnemar(only_a, only_b)), _p(p)]
            rows.append([f"{a} − {b}", role, *cells])
    return [
        "difference",
        "role",
        "n prompts",
        "only first refuses",
        "only second refuses",
        "p",
        "p (Holm)",
    ], rows


def _discordant(numbers: Numbers, role: str, a: str, b: str) -> tuple[int, int, int] | None:
    """Prompts judged for both, and refused by one alone; suites together. None where nothing is paired."""
    n = only_a = only_b = 0
    for suite in numbers.runs.suites("harmful"):
        first = [numbers.refused(role, method, suite) for method in (a, b)]
        if first[0] is None or first[1] is None:
            continue
        both = ~np.isnan(first[0]) & ~np.isnan(first[1])
        x, y = first[0][both] > 0, first[1][both] > 0
        n, only_a, only_b = n + len(x), only_a + int((x & ~y).sum()), only_b + int((y & ~x).sum())
    return (n, only_a, only_b) if n else None


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _pairs(runs: StudyRuns) -> list[tuple[str, str]]:
    """Every method against the aligned model and against plain fine-tuning."""
    sft = runs.first_method("sft")
    pairs = [(method, BASE) for method in runs.methods if runs.base]
    return pairs + [(method, sft) for method in runs.methods if sft and method != sft]


def estimate_rows(runs: StudyRuns) -> tuple[list[str], list[list[str]]]:
    """Every stored estimate of every run."""
    columns = [
        "role",
        "method",
        "seed",
        "suite",
        "metric",
        "judge",
        "value",
        "low",
        "high",
        "n",
        "errors",
        "interval",
    ]
    rows = []
    for run in (*runs.base, *runs.trained):
        head = [run.role or EVERY_ROLE, run.method, DASH if run.seed is None else str(run.seed)]
        for e in run.estimates:
            numbers = [DASH if x is None else f"{x:.4f}" for x in (e.value, e.low, e.high)]
            rows.append([*head, e.suite, e.metric, e.judge, *numbers, str(e.n), str(e.errors), e.method])
    return columns, rows


def interval_note(runs: StudyRuns) -> str:
    """How the intervals of the summary were made, in a sentence or two."""
    seeds, suites = len(runs.seeds), max(len(runs.suites("harmful")), len(runs.suites("benign")))
    if seeds > 1:
        note = (
            f"95 % intervals: shares by redrawing {count(seeds, 'seed')} and the prompts, never narrower "
            "than Wilson's; ROUGE-L from the stored bootstrap over rows and the spread of the seeds."
        )
    elif suites > 1:
        note = "95 % intervals: bootstrap, shares over the prompts of each suite, ROUGE-L over rows."
    else:
        note = "95 % intervals: Wilson for shares, bootstrap over rows for ROUGE-L."
    if any(e.method == "sequential" for run in (*runs.base, *runs.trained) for e in run.estimates):
        note += " Suites that may stop early: exact for all planned looks at once (sequential)."
    if suites > 1:
        note += " Several suites of one kind count alike: their plain mean."
    if len(runs.roles) > 1:
        note += " Means over roles redraw the roles as well"
        note += "; two or three roles make them very wide." if len(runs.roles) < 4 else "."
    return note


def _row(numbers: Numbers, role: str, method: str, intervals: bool) -> list[str]:
    found = {metric: numbers.cell(role, method, metric) for metric in UNITS}
    tags = ", ".join(numbers.runs.tags[role]) or DASH
    return [role, tags, method, *_measures(found, intervals), percent(numbers.flagged(role))]


def _measures(found: dict[str, Stat | None], intervals: bool) -> list[str]:
    return [shown(stat, UNITS[metric], intervals or metric == "refusal") for metric, stat in found.items()]
