"""Tables of a study: the summary, the paired differences, and every estimate as it is stored."""

from __future__ import annotations

import numpy as np

from playsafe.report.analysis import SCORES, Numbers, Stat
from playsafe.report.load import BASE, StudyRuns
from playsafe.report.markup import DASH, count, ends, number, percent
from playsafe.statistics import holm, mcnemar

MAIN = ("refusal", "over_refusal", "rouge_l")  # of the summary
NAMES = {
    "refusal": "refusal",
    "over_refusal": "over-refusal",
    "rouge_l": "ROUGE-L",
    "compliance": "attack success",
    "other_language": "reply in another language",
    "exact_match": "exact match",
    "perplexity": "perplexity",
    "reward_gap": "reward gap (nats/token)",
}
UNITS = {name: "score" if name in {*SCORES, "rouge_l"} else "share" for name in NAMES}
BETTER = {
    "refusal": "higher",
    "over_refusal": "lower",
    "rouge_l": "higher",
    "compliance": "lower",
    "other_language": "lower",
    "exact_match": "higher",
    "perplexity": "lower",
    "reward_gap": "higher",
}
EVERY_ROLE = "all roles"


def measures(runs: StudyRuns) -> list[str]:
    """Of the summary; without a role and held-out rows there is no ROUGE-L."""
    return [m for m in MAIN if m != "rouge_l" or not runs.roleless or runs.keys("references")]


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
    the role's rows above the RDS threshold, a property of the role. Where nobody plays a role, there is no
    column about roles.
    """
    numbers = numbers or Numbers(runs)
    rows: list[list[str]] = []
    named = [NAMES[metric] for metric in measures(runs)]
    if runs.roleless:
        for method in [BASE, *runs.methods]:
            means = {metric: numbers.mean(method, metric) for metric in measures(runs)}
            if any(means.values()):
                rows.append([method, *_measures(means, intervals)])
        return ["method", *named], rows
    shared = {*runs.suites("harmful"), *runs.suites("benign")}
    if runs.base and all(run.role is None for run in runs.base if shared & run.asked.keys()):
        means = {metric: numbers.mean(BASE, metric) for metric in measures(runs)}
        rows.append([EVERY_ROLE, DASH, BASE, *_measures(means, intervals), DASH])
    elif runs.base:
        rows += [_row(numbers, role, BASE, intervals) for role in runs.roles]
    for role in runs.roles:
        rows += [_row(numbers, role, method, intervals) for method in runs.methods if runs.cell(role, method)]
    return ["role", "temper", "method", *named, "flagged"], rows


def difference_table(numbers: Numbers) -> tuple[list[str], list[list[str]]]:
    """Every method against the aligned model and against plain fine-tuning, over all roles and per temper."""
    runs = numbers.runs
    groups = [(EVERY_ROLE, runs.roles)]
    if len(runs.tempers) > 1:
        groups += [(temper or DASH, runs.of_temper(temper)) for temper in runs.tempers]
    rows = []
    for a, b in _pairs(runs):
        for name, roles in groups:
            found = {metric: numbers.difference(a, b, metric, roles) for metric in measures(runs)}
            if any(found.values()):
                cells = [points(stat, UNITS[metric]) for metric, stat in found.items()]
                both = {role for metric in found for role in numbers.common((a, b), metric) if role in roles}
                over = [] if runs.roleless else [name, str(len(both))]
                rows.append([f"{a} − {b}", *over, *cells])
    head = ["difference"] if runs.roleless else ["difference", "roles", "n roles"]
    return [*head, *(NAMES[metric] for metric in measures(runs))], rows


def unjudged_table(numbers: Numbers) -> tuple[list[str], list[list[str]]]:
    """Per method the measures of tasks and pairs that ask no judge, suites averaged; no row without any."""
    runs = numbers.runs
    places = {"exact_match": "task", "perplexity": "task", "reward_gap": "pairs"}
    found = {
        method: [numbers.stored(method, metric, runs.suites(kind)) for metric, kind in places.items()]
        for method in [BASE, *runs.methods]
    }
    rows = [
        [method, *(shown(stat, UNITS[metric]) for metric, stat in zip(places, stats, strict=True))]
        for method, stats in found.items()
        if any(stats)
    ]
    return ["method", *(f"{NAMES[metric]} ({BETTER[metric]} is better)" for metric in places)], rows


def mcnemar_table(numbers: Numbers) -> tuple[list[str], list[list[str]]]:
    """Per comparison and role: exact McNemar test of refusal, first seeds; Holm's adjustment over roles (none
    where nobody plays one)."""
    runs, rows = numbers.runs, []
    for a, b in _pairs(runs):
        counted = [(role, found) for role in runs.roles if (found := _discordant(numbers, role, a, b))]
        adjusted = holm([mcnemar(only_a, only_b) for _, (_, only_a, only_b) in counted])
        for (role, (n, only_a, only_b)), p in zip(counted, adjusted, strict=True):
            cells = [str(n), str(only_a), str(only_b), _p(mcnemar(only_a, only_b))]
            own = [f"{a} − {b}", *cells] if runs.roleless else [f"{a} − {b}", role, *cells, _p(p)]
            rows.append(own)
    return [
        "difference",
        *([] if runs.roleless else ["role"]),
        "n prompts",
        "only first refuses",
        "only second refuses",
        "p",
        *([] if runs.roleless else ["p (Holm)"]),
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
        who = DASH if runs.roleless else run.role or EVERY_ROLE
        head = [who, run.method, DASH if run.seed is None else str(run.seed)]
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
            "than Wilson's"
        )
        rouge = "; ROUGE-L from the stored bootstrap over rows and the spread of the seeds"
    elif suites > 1:
        note = "95 % intervals: bootstrap, shares over the prompts of each suite"
        rouge = ", ROUGE-L over rows"
    else:
        note, rouge = "95 % intervals: Wilson for shares", ", bootstrap over rows for ROUGE-L"
    note += f"{rouge if 'rouge_l' in measures(runs) else ''}."
    if any(e.method == "sequential" for run in (*runs.base, *runs.trained) for e in run.estimates):
        note += " Suites that may stop early: exact for all planned looks at once (sequential)."
    if suites > 1:
        note += " Several suites of one kind count alike: their plain mean."
    if len(runs.roles) > 1:
        note += " Means over roles redraw the roles as well"
        note += "; two or three roles make them very wide." if len(runs.roles) < 4 else "."
    return note


def _row(numbers: Numbers, role: str, method: str, intervals: bool) -> list[str]:
    found = {metric: numbers.cell(role, method, metric) for metric in measures(numbers.runs)}
    tags = ", ".join(numbers.runs.tags[role]) or DASH
    return [role, tags, method, *_measures(found, intervals), percent(numbers.flagged(role))]


def _measures(found: dict[str, Stat | None], intervals: bool) -> list[str]:
    return [shown(stat, UNITS[metric], intervals or metric == "refusal") for metric, stat in found.items()]
