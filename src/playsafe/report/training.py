"""Plotly figures of training: curves of every loss term, histograms of the RDS gap."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from playsafe.report.figures import Tabs, colour, tab
from playsafe.report.tables import EVERY_ROLE
from playsafe.report.text import label
from playsafe.results.load import Run, StudyRuns

DASHES = ("solid", "dot", "dash", "dashdot")
CURVE_NUMBERS = 120_000  # numbers spent on curves in one page
BINS = 40
GAP = "gap:"  # a probe of the reward gap: "gap:<suite as it was asked>"
TITLE = 30  # pixels above a plot for its title
NO_TERMS = {"step", "epoch", "learning_rate"}  # logged beside the loss terms


def curves(runs: StudyRuns) -> Tabs:
    """Every loss term of train.jsonl over the steps, one small plot a term, one choice a role; probes of the
    reward gap stand below."""
    logged = {run.path: run.curve() for run in runs.trained}
    terms = {key for rows in logged.values() for row in rows for key in row if is_number(row[key])} - NO_TERMS
    keep = max(20, CURVE_NUMBERS // max(1, 2 * len(logged) * len(terms)))
    tabs = []
    for role in runs.roles:
        cells = [run for method in runs.methods for run in runs.cell(role, method)]
        lines = {
            term: [(run, _thin(logged[run.path], term, keep)) for run in cells]
            for term in _order(terms, list(runs.language_of))
        }
        used = {
            term: drawn for term, found in lines.items() if (drawn := [line for line in found if line[1]])
        }
        if not used:
            continue
        height = 90 + 170 * len(used)
        titled = any(term.startswith(GAP) for term in used)
        figure = make_subplots(
            rows=len(used),
            cols=1,
            shared_xaxes=True,
            vertical_spacing=min(0.05, TITLE / height) if titled else 0.05 / max(1, len(used) / 10),
            subplot_titles=[_title(term) for term in used] if titled else None,
        )
        named: set[str] = set()
        for place, (term, found) in enumerate(used.items(), start=1):
            for run, points in found:
                figure.add_trace(_line(runs, run, points, run.method not in named), row=place, col=1)
                named.add(run.method)
            unit = "nats/token" if term.startswith(GAP) else label(term)
            figure.update_yaxes(title=unit, row=place, col=1)
        figure.update_xaxes(title="optimiser step", row=len(used), col=1)
        figure.update_annotations(font={"size": 12, "color": "var(--ink)"})
        tabs.append(tab(role, figure, height))
    return tabs


def _order(terms: set[str], suites: list[str]) -> list[str]:
    """The loss and its terms first, the gap probes last in the order of the suites."""
    first = ["loss", "ce", "kl"]
    probes = [GAP + suite for suite in suites if GAP + suite in terms]
    probes += sorted(term for term in terms - set(probes) if term.startswith(GAP))
    return [*(term for term in first if term in terms), *sorted(terms - {*first, *probes}), *probes]


def _title(term: str) -> str:
    """A probe's plot is named above it, as its axis is too short for the suite."""
    return f"reward gap: {label(term.removeprefix(GAP), 60)}" if term.startswith(GAP) else ""


def _thin(rows: list[dict[str, Any]], term: str, keep: int) -> list[tuple[int, float | None]]:
    """(step, value) of at most `keep` lines; a value that is no number leaves a hole."""
    found = [(row["step"], row[term]) for row in rows if term in row]
    chosen = found[:: math.ceil(len(found) / keep) or 1]
    return [(step, float(f"{value:.5g}") if is_number(value) else None) for step, value in chosen]


def _line(runs: StudyRuns, run: Run, points: list[tuple[int, float | None]], named: bool) -> go.Scatter:
    dash = DASHES[runs.seeds.index(run.seed) % len(DASHES)] if run.seed in runs.seeds else DASHES[0]
    return go.Scatter(
        x=[step for step, _ in points],
        y=[value for _, value in points],
        mode="lines+markers" if len(points) < 8 else "lines",
        name=label(run.method),
        legendgroup=label(run.method),
        showlegend=named,
        line={"color": colour(runs, run.method), "width": 1.6, "dash": dash},
        hovertemplate=f"step %{{x}}: %{{y:.4f}}<extra>%{{fullData.name}}, seed {run.seed}</extra>",
    )


def gaps(runs: StudyRuns) -> Tabs:
    """Histogram of the RDS gap, a choice a role; the threshold is an edge between bins."""
    tabs = []
    sets = [(role, scores.gaps, scores.threshold) for role, scores in sorted(runs.scores.items())]
    if len(sets) > 1:
        sets.insert(0, (EVERY_ROLE, [gap for _, gaps, _ in sets for gap in gaps], sets[0][2]))
    for name, values, threshold in sets:
        span = max(max(values) - min(values), 1e-3)
        width = span / BINS
        near = min(values) - span <= threshold <= max(values) + span
        anchor = threshold if near else min(values)  # one far away is no edge of any bin
        first = math.floor((min(values) - anchor) / width)
        last = math.floor((max(values) - anchor) / width) + 1
        edges = anchor + width * np.arange(first, last + 1)
        counts = np.histogram(values, edges)[0].tolist()
        middles = ((edges[:-1] + edges[1:]) / 2).tolist()
        figure = go.Figure()
        for flag, title in ((False, "not flagged"), (True, "flagged")):
            found = [(x, c) for x, c in zip(middles, counts, strict=True) if (x > threshold) == flag]
            figure.add_bar(
                x=[x for x, _ in found],
                y=[c for _, c in found],
                width=width,
                name=title,
                marker={"color": "var(--series-1)" if flag else "var(--series-0)", "line": {"width": 0}},
                hovertemplate="gap %{x:.3f}: %{y} rows<extra>" + title + "</extra>",
            )
        figure.add_vline(x=threshold, line={"color": "var(--ink)", "dash": "dash", "width": 1.5})
        figure.update_xaxes(title="gap = log p(y | unsafe) − log p(y | role), nats a token")
        figure.update_yaxes(title="rows")
        tabs.append(tab(name, figure, 320, barmode="overlay", bargap=0))
    return tabs


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
