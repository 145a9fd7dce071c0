"""Plotly figures of training: curves of every loss term, histograms of the RDS gap."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from playsafe.report.figures import Tabs, colour, tab
from playsafe.report.load import Run, StudyRuns
from playsafe.report.markup import label
from playsafe.report.tables import EVERY_ROLE

DASHES = ("solid", "dot", "dash", "dashdot")
CURVE_NUMBERS = 120_000  # numbers spent on curves in one page


def curves(runs: StudyRuns) -> Tabs:
    """Every loss term of train.jsonl over the steps, one small plot a term, one choice a role."""
    found = {run.path: run.curve() for run in runs.trained}
    terms = sorted(
        {key for rows in found.values() for row in rows for key in row if _is_number(row[key])} - {"step"}
    )
    terms.sort(
        key=lambda term: (("loss", "ce", "kl").index(term) if term in ("loss", "ce", "kl") else 3, term)
    )
    keep = max(20, CURVE_NUMBERS // max(1, 2 * len(found) * len(terms)))
    tabs = []
    for role in runs.roles:
        cells = [run for run in runs.trained if run.role == role and found[run.path]]
        used = [
            term for term in terms if any(_is_number(row.get(term)) for r in cells for row in found[r.path])
        ]
        if not used:
            continue
        figure = make_subplots(rows=len(used), cols=1, shared_xaxes=True, vertical_spacing=0.05)
        legend: set[str] = set()
        for place, term in enumerate(used, start=1):
            for run in cells:
                _curve(
                    figure, runs, run, [r for r in found[run.path] if term in r], term, place, keep, legend
                )
            figure.update_yaxes(title=label(term), row=place, col=1)
        figure.update_xaxes(title="optimiser step", row=len(used), col=1)
        tabs.append(tab(role, figure, 90 + 170 * len(used)))
    return tabs


def _curve(
    figure: go.Figure,
    runs: StudyRuns,
    run: Run,
    rows: list[dict[str, Any]],
    term: str,
    place: int,
    keep: int,
    legend: set[str],
) -> None:
    rows = rows[:: math.ceil(len(rows) / keep) or 1]
    if not rows:
        return
    seed = run.seed or 0
    figure.add_scatter(
        x=[row["step"] for row in rows],
        y=[float(f"{row[term]:.5g}") if _is_number(row[term]) else None for row in rows],
        mode="lines+markers" if len(rows) < 8 else "lines",
        name=label(run.method),
        legendgroup=label(run.method),
        showlegend=run.method not in legend,
        line={
            "color": colour(runs, run.method),
            "width": 1.6,
            "dash": DASHES[runs.seeds.index(seed) % len(DASHES)],
        },
        hovertemplate=f"step %{{x}}: %{{y:.4f}}<extra>{label(run.method)}, seed {seed}</extra>",
        row=place,
        col=1,
    )
    legend.add(run.method)


def gaps(runs: StudyRuns) -> Tabs:
    """Histogram of the RDS gap, a choice a role; the threshold is an edge between bins."""
    tabs = []
    pooled = [gap for scores in runs.scores.values() for gap in scores.gaps]
    sets = [(EVERY_ROLE, pooled, next(iter(runs.scores.values())).threshold)] if len(runs.scores) > 1 else []
    known = [role for role in runs.roles if role in runs.scores]
    for role in [*known, *sorted(set(runs.scores) - set(known))]:
        sets.append((role, runs.scores[role].gaps, runs.scores[role].threshold))
    for name, values, threshold in sets:
        width = max(max(values) - min(values), 1e-9) / 40
        first = math.floor((min(values) - threshold) / width)
        last = math.floor((max(values) - threshold) / width) + 1
        edges = threshold + width * np.arange(first, last + 1)
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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
