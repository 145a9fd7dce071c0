"""Plotly figures of the results, as plain specifications.

Colours are variables of page.css ("var(--series-1)"), which page.js looks up for the reader's scheme. Every
label goes through `text.label`, as Plotly reads HTML in labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from playsafe.metrics import Measure
from playsafe.report.tables import EVERY_ROLE
from playsafe.report.text import DASH, ends, label, number
from playsafe.results.languages import Point, reward_points, spelled
from playsafe.results.load import BASE, StudyRuns
from playsafe.results.numbers import Numbers, Stat
from playsafe.statistics import pareto_front

Tabs = list[dict[str, Any]]  # [{"label", "spec"}]: one figure panel with its choices
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "pentagon")


def colour(runs: StudyRuns, method: str) -> str:
    return f"var(--series-{([BASE, *runs.methods].index(method)) % 8})"


def symbol(runs: StudyRuns, method: str) -> str:
    return SYMBOLS[([BASE, *runs.methods].index(method)) % len(SYMBOLS)]


def tab(name: str, figure: go.Figure, height: int, legend: bool = True, **layout: Any) -> dict[str, Any]:
    figure.update_layout(
        height=height,
        showlegend=legend,
        margin={"l": 12, "r": 12, "t": 36 if legend else 16, "b": 12},
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "traceorder": "normal"},
        **layout,
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    spec = figure.to_plotly_json()
    spec["layout"].pop("template", None)
    return {"label": name, "spec": spec}


def _whiskers(
    stats: Sequence[Stat], scale: float, axis: str = "x", tone: str = "var(--ink)"
) -> dict[str, Any]:
    whiskers = {
        "type": "data",
        "symmetric": False,
        "array": [scale * (s.high - s.value) for s in stats],
        "arrayminus": [scale * (s.value - s.low) for s in stats],
        "thickness": 1.4,
        "width": 3,
        "color": tone,
    }
    return {f"error_{axis}": whiskers}


def _hover(stat: Stat, unit: str) -> str:
    value = f"{number(stat.value, unit)} {ends(stat.low, stat.high, unit)}"
    return f"{value}<br>n = {stat.n}, {label(stat.how, 60)}"


def _scale(metric: Measure) -> float:
    """Shares are drawn in percent."""
    return 100.0 if metric.is_share else 1.0


def _axis(metric: Measure) -> str:
    return label(f"{metric.title} (%)" if metric.is_share else metric.heading, 60)


def roles(numbers: Numbers) -> Tabs:
    """Horizontal bars with intervals, one group a role, roles sorted by temper."""
    runs, tabs = numbers.runs, []
    for metric in runs.shown:
        scale = _scale(metric)
        figure = go.Figure()
        for method in [BASE, *runs.methods]:
            cells = [(role, numbers.cell(role, method, metric.name)) for role in runs.roles]
            found = [(role, stat) for role, stat in cells if stat is not None]
            if not found:
                continue
            groups = [
                [label(runs.temper(role) or DASH) for role, _ in found],
                [label(role) for role, _ in found],
            ]
            figure.add_bar(
                y=groups,
                x=[scale * stat.value for _, stat in found],
                orientation="h",
                name=label(method),
                marker={"color": colour(runs, method)},
                customdata=[_hover(stat, metric.unit) for _, stat in found],
                hovertemplate="%{y}<br>%{customdata}<extra>%{fullData.name}</extra>",
                **_whiskers([stat for _, stat in found], scale),
            )
        if not figure.data:
            continue
        bars = len(runs.roles) * (len(figure.data) * 11 + 12)
        axis: dict[str, Any] = {"title": _axis(metric), "rangemode": "tozero"}
        axis |= {"range": [0, 103]} if metric.is_share else {}
        tabs.append(
            tab(
                metric.heading,
                figure,
                110 + bars,
                barmode="group",
                bargap=0.28,
                bargroupgap=0.08,
                xaxis=axis,
                yaxis={"autorange": "reversed", "type": "multicategory", "tickson": "boundaries"},
            )
        )
    return tabs


def flagged(numbers: Numbers) -> Tabs:
    """Flagged share of a role's rows against what plain fine-tuning did to its safety."""
    runs, points = numbers.runs, numbers.lost()
    safety = runs.safety
    scale, unit = _scale(safety), "points" if safety.is_share else safety.unit
    if not points:
        return []
    figure = go.Figure()
    for place, temper in enumerate(runs.tempers):
        found = [(r, share, stat) for r, share, stat in points if runs.temper(r) == temper]
        if found:
            figure.add_scatter(
                x=[100 * share for _, share, _ in found],
                y=[scale * stat.value for _, _, stat in found],
                mode="markers+text",
                text=[f" {label(role, 14)}" for role, _, _ in found],
                textposition="middle right",
                textfont={"color": "var(--muted)", "size": 11},
                cliponaxis=False,
                name=label(temper or "untagged"),
                marker={
                    "size": 10,
                    "color": f"var(--series-{(place + 1) % 8})",
                    "symbol": SYMBOLS[place % len(SYMBOLS)],
                },
                customdata=[_hover(stat, safety.unit) for _, _, stat in found],
                hovertemplate="%{text}: %{x:.1f} % flagged<br>%{customdata}<extra></extra>",
                **_whiskers([stat for _, _, stat in found], scale, "y"),
            )
    sft = label(runs.first_method("sft"))
    return [
        tab(
            "",
            figure,
            440,
            xaxis={"title": "flagged rows (%)"},
            yaxis={"title": f"{label(safety.title)}, {sft} − base ({label(unit)})", "zeroline": True},
        )
    ]


def pareto(numbers: Numbers) -> Tabs:
    """Role-play against safety: a point a method (mean over roles), its roles faint, the front as a line."""
    runs, tabs = numbers.runs, []
    groups = [(EVERY_ROLE, runs.roles)]
    if len(runs.tempers) > 1:
        groups += [(temper or "untagged", runs.of_temper(temper)) for temper in runs.tempers]
    for name, members in groups:
        figure, means = go.Figure(), []
        for method in [BASE, *runs.methods]:
            if point := _point(numbers, figure, method, members):
                means.append(point)
        if means:
            _front(runs, figure, means)
            tabs.append(tab(name, figure, 460))
    return tabs


def _axes(runs: StudyRuns) -> tuple[Measure, Measure]:
    return runs.about("character")[0], runs.safety


def _sign(measure: Measure) -> int:
    return 1 if measure.better == "higher" else -1


def _point(
    numbers: Numbers, figure: go.Figure, method: str, members: Sequence[str]
) -> tuple[str, Stat, Stat] | None:
    """A method's means over the roles that have both numbers; draws the single roles."""
    runs, axes = numbers.runs, _axes(numbers.runs)
    quality, safety = axes
    cells = [
        (r, numbers.cell(r, method, quality.name), numbers.cell(r, method, safety.name)) for r in members
    ]
    found = [(role, x, y) for role, x, y in cells if x is not None and y is not None]
    x, y = (numbers.mean(method, m.name, [role for role, _, _ in found]) for m in axes)
    if not found or x is None or y is None:
        return None
    if len(found) > 1:
        figure.add_scatter(
            x=[_scale(axes[0]) * x.value for _, x, _ in found],
            y=[_scale(axes[1]) * y.value for _, _, y in found],
            mode="markers",
            opacity=0.35,
            showlegend=False,
            marker={"size": 6, "color": colour(runs, method), "symbol": symbol(runs, method)},
            customdata=[f"{label(role)}, {label(method)}<br>{_both(axes, x, y)}" for role, x, y in found],
            hovertemplate="%{customdata}<extra></extra>",
        )
    return method, x, y


def _both(axes: tuple[Measure, Measure], x: Stat, y: Stat) -> str:
    return "<br>".join(f"{label(m.title)} {_hover(s, m.unit)}" for m, s in zip(axes, (x, y), strict=True))


def _front(runs: StudyRuns, figure: go.Figure, means: Sequence[tuple[str, Stat, Stat]]) -> None:
    """The means with their intervals, and the line through those that no other beats."""
    axes = _axes(runs)
    (across, up), (right, above) = map(_scale, axes), map(_sign, axes)
    front = pareto_front([(right * x.value, above * y.value) for _, x, y in means])
    line = sorted((across * means[i][1].value, up * means[i][2].value) for i in front)
    figure.add_scatter(
        x=[x for x, _ in line],
        y=[y for _, y in line],
        mode="lines",
        name="front",
        hoverinfo="skip",
        line={"color": "var(--muted)", "dash": "dot", "width": 1.5},
    )
    for method, x, y in means:
        figure.add_scatter(
            x=[across * x.value],
            y=[up * y.value],
            mode="markers",
            name=label(method),
            marker={
                "size": 14,
                "color": colour(runs, method),
                "symbol": symbol(runs, method),
                "line": {"color": "var(--surface)", "width": 1.5},
            },
            customdata=[_both(axes, x, y)],
            hovertemplate="%{customdata}<extra>%{fullData.name}</extra>",
            **_whiskers([x], across, "x"),
            **_whiskers([y], up, "y"),
        )
    figure.update_xaxes(title=f"{_axis(axes[0])} →").update_yaxes(title=f"{_axis(axes[1])} →")


LABELLED = 40  # more points than this are named by pointing at them alone


def reward(numbers: Numbers) -> Tabs:
    """Reward gap against attack success: a point a language, system turn and method, lines from the aligned
    model's."""
    runs = numbers.runs
    points = reward_points(numbers) if len(runs.languages) > 1 else []
    if not points:
        return []
    figure = go.Figure()
    before = {(p.language, p.system): p for p in points if p.method == BASE}
    for method in runs.methods:
        ends = [(before[p.language, p.system], p) for p in points if p.method == method and _of(p) in before]
        if ends:
            figure.add_scatter(
                x=[x for a, b in ends for x in (a.gap.value, b.gap.value, None)],
                y=[y for a, b in ends for y in (100 * a.success.value, 100 * b.success.value, None)],
                mode="lines",
                opacity=0.45,
                showlegend=False,
                legendgroup=label(method),
                hoverinfo="skip",
                line={"color": colour(runs, method), "width": 1},
            )
    for method in [BASE, *runs.methods]:
        found = [p for p in points if p.method == method]
        if found:
            figure.add_scatter(
                x=[p.gap.value for p in found],
                y=[100 * p.success.value for p in found],
                mode="markers+text" if len(points) <= LABELLED else "markers",
                text=[f" {label(p.language, 8)}" for p in found],
                textposition="top right",
                textfont={"color": "var(--muted)", "size": 11},
                name=label(method),
                legendgroup=label(method),
                marker={
                    "size": 9,
                    "color": colour(runs, method),
                    "symbol": [SYMBOLS[runs.systems.index(p.system) % len(SYMBOLS)] for p in found],
                },
                customdata=[_spoken_point(runs, p) for p in found],
                hovertemplate="%{customdata}<extra>%{fullData.name}</extra>",
                **_whiskers([p.gap for p in found], 1, "x", colour(runs, method)),
                **_whiskers([p.success for p in found], 100, "y", colour(runs, method)),
            )
    figure.update_xaxes(title="reward gap (nats/token) →").update_yaxes(title="attack success (%)")
    return [tab("", figure, 480)]


def _of(point: Point) -> tuple[str, str]:
    return point.language, point.system


def _spoken_point(runs: StudyRuns, p: Point) -> str:
    turn = f", system turn: {label(p.system)}" if len(runs.systems) > 1 else ""
    name = f"{label(spelled(p.language))}, {label(p.method)}{turn}"
    return (
        f"{name}<br>reward gap {_hover(p.gap, 'nats/token')}<br>attack success {_hover(p.success, 'share')}"
    )
