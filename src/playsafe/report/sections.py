"""What the sections under the page's header show: plain data for their templates."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from playsafe.gates import State, parse_gate
from playsafe.report import heat, provenance
from playsafe.report.tables import (
    difference_table,
    every_table,
    interval_note,
    mcnemar_table,
    summary_table,
)
from playsafe.report.text import DASH, Table, ends, number, percent, points, signed
from playsafe.report.verdict import correlation
from playsafe.results import agreement, decisions
from playsafe.results.headline import SCORE, Headline
from playsafe.results.load import BASE, StudyRuns, spoken
from playsafe.results.numbers import Numbers, Stat
from playsafe.results.outcomes import HARMFUL, HARMLESS, UNVOICED, composition
from playsafe.statistics import Interval, cohen_kappa

EXTREMES = 12  # most and least flagged rows shown per role
NARROW = "\u00a0"  # a space that does not break a line
FEW = 8  # gates' decisions shown without a click


Make = Callable[[Numbers], dict[str, Any]]


class Section(NamedTuple):
    """key: anchor and, where no other is named, template; short: its name in the navigation; data: what the
    template shows."""

    key: str
    short: str
    title: str
    data: dict[str, Any]
    template: str = ""


def all_sections(numbers: Numbers, drawn: set[str]) -> list[Section]:
    """In reading order; what an audit, a single judge, one language or nobody's role cannot have is left
    out. drawn: the figure panels that have something to show."""
    runs = numbers.runs
    trained, played = not runs.is_audit, not runs.roleless
    fitted = trained and played
    lost = f"Flagged rows and lost {runs.safety.title}"
    listed: list[tuple[str, str, str, Any, Make | None]] = [  # the last: None for a figure with its caption
        ("languages", "Languages", "Languages", len(runs.languages) > 1, heat.languages),
        ("results", "Results", "Results", True, results),
        ("immersion", "Immersion", "Immersion", played or runs.keys("dark"), immersion),
        ("jailbreaks", "Jailbreaks", "Jailbreaks and judges", True, heat.jailbreaks),
        ("outcomes", "Outcomes", "Outcomes", True, outcomes),
        ("judges", "Judges", "Judges", len(runs.judges) > 1, judges),
        ("roles", "Roles", "Role by role", played, None),
        ("flagged", "Flagged and lost", lost, fitted or "flagged" in drawn, None),
        ("pareto", "Trade-off", "Role-play against safety", played or "pareto" in drawn, None),
        ("curves", "Training", "Training", trained or "curves" in drawn, None),
        ("gaps", "Flagged rows", "Flagged training rows (RDS)", fitted or "gaps" in drawn, None),
        ("transcripts", "Transcripts", "Transcripts", True, lambda _: {}),
        ("estimates", "Estimates", "Every estimate", True, lambda _: {}),
        ("methods", "Methods", "Methods and provenance", True, lambda one: provenance.section(one.runs)),
    ]
    return [
        Section(key, short, title, (make or _captions)(numbers), "" if make else "figure")
        for key, short, title, wanted, make in listed
        if wanted
    ]


def _captions(numbers: Numbers) -> dict[str, Any]:
    """What the captions of the figures say, and the rows under the histogram of gaps."""
    return {
        "note": interval_note(numbers.runs),
        "sentence": correlation(numbers),
        "suites": numbers.suites(numbers.runs.safety.name),
        "extremes": extremes(numbers.runs),
    }


def results(numbers: Numbers) -> dict[str, Any]:
    return {
        "note": interval_note(numbers.runs),
        "summary": Table("summary", *summary_table(numbers.runs, intervals=True, numbers=numbers)),
        "every": Table("measures", *every_table(numbers)),
        "differences": Table("differences", *difference_table(numbers)),
        "tested": Table("tested", *mcnemar_table(numbers)),
    }


# --- gates ------------------------------------------------------------------------------------------------

WORDS: dict[State, str] = {"fail": "failed", "undecided": "undecided", "not measured": "not measured"}
WORDS |= {"pass": "passed"}


def gate_block(runs: StudyRuns) -> dict[str, Any] | None:
    """The decisions for the top of the page, the worst first; None where the study has no gate."""
    found = decisions(runs)
    if not found:
        return None
    lines = []
    for gate in dict.fromkeys(d.gate for d in found):
        states = Counter(d.state for d in found if d.gate == gate)
        lines.append(
            (gate, [(s.split()[0], f"{states[s]} {word}") for s, word in WORDS.items() if states[s]])
        )
    rows = []
    for d in sorted(found, key=lambda d: list(WORDS).index(d.state)):
        value = interval = DASH
        if d.value is not None:
            value, interval = number(d.value, d.unit), ends(d.low, d.high, d.unit)
            if parse_gate(d.gate).relative:
                value = signed(d.value, d.unit) + {"share": " points", "change": " %"}.get(d.unit, "")
        unit = "" if d.unit in ("share", "change", "") or d.value is None else f" {d.unit}"
        counts = [str(d.n), str(d.errors)]
        what = [d.gate, WORDS[d.state], d.run, d.suite, d.judge or DASH]
        rows.append([*what, value + unit, interval, *counts])
    columns = ["gate", "result", "run", "suite", "judge", "measured", "interval", "n", "errors"]
    failed = sum(d.state != "pass" for d in found)
    return {
        "failed": failed,
        "lines": lines,
        "table": Table("gates", columns, rows),
        "few": len(found) <= FEW,
    }


# --- immersion --------------------------------------------------------------------------------------------


def immersion(numbers: Numbers) -> dict[str, Any]:
    """The table of parts and score, and the table of how replies sound."""
    headline = Headline(numbers)
    parts = [(m, numbers.judge_of(m.name)) for m in numbers.runs.about("headline part")]
    return {
        "asked": headline.asked,
        "system": headline.system,
        "judges": {kind: judge for m, judge in parts for kind in m.kinds},
        "parts": Table("headline", ["method", *headline.parts, SCORE], headline_rows(headline)),
        "sound": Table("sound", *sound_rows(headline)),
    }


def headline_rows(headline: Headline) -> list[list[str]]:
    """Every method, and under it its difference to the aligned model."""
    rows, columns = [], [*headline.parts, SCORE]
    for method in [BASE, *headline.runs.methods]:
        found = [headline.measured(method, what) for what in columns]
        if any(found):
            rows.append([method, *(_unbroken(stat, "share") for stat in found)])
        changes = [headline.difference(method, what) for what in columns] if method != BASE else []
        if any(changes):
            shown = [points(stat, "share").replace(", ", f",{NARROW}") for stat in changes]
            rows.append([f"{method} − {BASE}", *shown])
    return rows


def sound_rows(headline: Headline) -> tuple[list[str], list[list[str]]]:
    """Measures of the sound on harmful prompts and on the role's own rows; of those that are no shares the
    refusals alone stand for harmful prompts. Methods without any of them have no row."""
    runs, keys = headline.runs, headline.keys
    measures = sorted(runs.about("sound"), key=lambda metric: metric.is_share)
    columns = ["method"]
    for metric in measures:
        where = "harmful prompts" if metric.is_share else "refusals"
        columns += [f"{metric.title}, {where}", f"{metric.title}, ordinary replies"]
    rows = []
    for method in [BASE, *runs.methods]:
        found: list[tuple[Stat | None, str]] = []
        for metric in measures:
            harmful, own = (headline.numbers.narrowed(keys=keys[k]) for k in ("harmful", "references"))
            asked = (harmful.mean(method, metric.name), metric.unit)
            if not metric.is_share:
                among = harmful.voices(method, metric.name, runs.safety.name, keys["harmful"])
                asked = (among, metric.unit)
            found += [asked, (own.mean(method, metric.name), metric.unit)]
        if any(stat for stat, _ in found):
            rows.append([method, *(_unbroken(stat, unit) for stat, unit in found)])
    return columns, rows


def _unbroken(stat: Stat | None, unit: str) -> str:
    """A number whose lines break between its parts alone."""
    if stat is None:
        return DASH
    whole = (number(stat.value, unit), ends(stat.low, stat.high, unit), f"n = {stat.n}")
    return " ".join(part.replace(" ", NARROW) for part in whole)


# --- outcomes ---------------------------------------------------------------------------------------------


def outcomes(numbers: Numbers) -> dict[str, Any]:
    """A tab for every suite as it was asked, and judge where there are several."""
    runs, panels = numbers.runs, []
    rows: list[list[str]] = []
    for key, judge in ((key, judge) for key in agreement.keys(numbers) for judge in runs.judges):
        harmful = UNVOICED if runs.roleless else HARMFUL
        categories = harmful if runs.kinds[key] == "harmful" else HARMLESS
        found = {m: composition(numbers, m, key, judge, categories) for m in [BASE, *runs.methods]}
        found = {method: stats for method, stats in found.items() if stats}
        if found:
            name = spoken(key) + (f" · {judge}" if len(runs.judges) > 1 else "")
            panels.append((name, ([c for c in categories if any(c in f for f in found.values())], found)))
        for method, stats in found.items():
            for category, s in stats.items():
                share = [percent(s.value), ends(s.low, s.high, "share"), str(s.n)]
                rows.append([key, judge, method, category.name, *share])
    columns = ["suite", "judge", "method", "outcome", "share", "interval", "n"]
    return {"panels": panels, "twin": Table("shares", columns, rows)}


# --- judges -----------------------------------------------------------------------------------------------


def judges(numbers: Numbers) -> dict[str, Any]:
    columns = ["judge", "suite", "replies", "judged", "unparsed", "error"]
    errors = agreement.errors(numbers)
    rows = [[j, key, *map(str, (n, n - bad - lost, bad, lost))] for j, key, n, bad, lost in errors]
    missed, asked = Counter[str](), Counter[str]()
    for judge, _, n, bad, lost in errors:
        missed[judge] += bad + lost
        asked[judge] += n
    return {
        "kappa": Table("kappa", *pair_rows(numbers)),
        "lost": Table("lost", columns, rows),
        "without": ", ".join(f"{judge} {missed[judge]} of {n} replies" for judge, n in asked.items()),
        "limit": agreement.LIMIT,
    }


def pair_rows(numbers: Numbers) -> tuple[list[str], list[list[str]]]:
    two, all_ = "answered or not", "outcome"
    columns = ["judges", "suite", "n both", f"agree: {two}", f"κ: {two}", f"agree: {all_}", f"κ: {all_}"]
    rows = []
    for pair in agreement.pairs(numbers):
        cells = []
        for counts_TKK in (pair.answered_TKK, pair.counts_TKK):
            agreed = float(np.trace(counts_TKK.sum(axis=0))) / pair.n
            cells += [percent(agreed), _kappa(cohen_kappa(counts_TKK))]
        rows.append([f"{pair.a}, {pair.b}", pair.key, str(pair.n), *cells])
    return columns, rows


def _kappa(kappa: Interval) -> str:
    """A dash where both judges gave every reply the same label: kappa is then 0/0."""
    if math.isnan(kappa.value):
        return f"{DASH} (one label)"
    return f"{kappa.value:.2f} [{kappa.low:.2f}, {kappa.high:.2f}]".replace("-", "−")


# --- flagged rows -----------------------------------------------------------------------------------------


def extremes(runs: StudyRuns) -> list[tuple[str, Table]]:
    """Rows with the largest and smallest gap of each role, their text where it was stored."""
    found = []
    for place, (role, scores) in enumerate(sorted(runs.scores.items())):
        ranked = sorted(scores.scores, key=lambda score: (-score.gap, score.id))
        half = EXTREMES // 2
        chosen = ranked if len(ranked) <= EXTREMES else [*ranked[:half], *ranked[-half:]]
        rows = []
        for score in chosen:
            texts = [str(scores.texts.get(score.id, {}).get(side, DASH))[:400] for side in ("user", "reply")]
            flagged = "yes" if score.gap > scores.threshold else "no"
            rows.append([f"{score.gap:+.3f}".replace("-", "−"), flagged, score.id, *texts])
        title = (
            f"{role}: {percent(scores.share)} of {len(scores.scores)} rows flagged; most and least flagged"
        )
        found.append((title, Table(f"rows-{place}", ["gap", "flagged", "row", "user", "reply"], rows)))
    return found
