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

Axes = tuple[Measure, Measure]  # across, up
Tabs = list[dict[str, Any]]  # [{"label", "spec"}]: one figure panel with its choices
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "pentagon")


def colour(runs: StudyRuns, method: str) -> str:
    return f"var(--series-{([BASE, *runs.methods].index(method)) % 8})"


def symbol(runs: StudyRuns, method: str) -> str:
    return SYMBOLS[([BASE, *runs.methods].index(method)) % len(SYMBOLS)]


def tab(name: str, figure: go.Figure, height: int, **layout: Any) -> dict[str, Any]:
    figure.update_layout(
        height=height,
        showlegend=True,
        margin={"l": 12, "r": 12, "t": 36, "b": 12},
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
    up, down = [scale * (s.high - s.value) for s in stats], [scale * (s.value - s.low) for s in stats]
    look = {"type": "data", "symmetric": False, "thickness": 1.4, "width": 3, "color": tone}
    return {f"error_{axis}": look | {"array": up, "arrayminus": down}}


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
        figure, scale = go.Figure(), _scale(metric)
        for method in [BASE, *runs.methods]:
            cells = [(role, numbers.cell(role, method, metric.name)) for role in runs.roles]
            found = [(role, stat) for role, stat in cells if stat is not None]
            if found:
                tempers = [label(runs.temper(role) or DASH) for role, _ in found]
                figure.add_bar(
                    y=[tempers, [label(role) for role, _ in found]],
                    x=[scale * stat.value for _, stat in found],
                    orientation="h",
                    name=label(method),
                    marker={"color": colour(runs, method)},
                    customdata=[_hover(stat, metric.unit) for _, stat in found],
                    hovertemplate="%{y}<br>%{customdata}<extra>%{fullData.name}</extra>",
                    **_whiskers([stat for _, stat in found], scale),
                )
        if figure.data:
            height = 110 + len(runs.roles) * (len(figure.data) * 11 + 12)
            across: dict[str, Any] = {"title": _axis(metric), "rangemode": "tozero"}
            across |= {"range": [0, 103]} if metric.is_share else {}
            down = {"autorange": "reversed", "type": "multicategory", "tickson": "boundaries"}
            look = {"barmode": "group", "bargap": 0.28, "bargroupgap": 0.08}
            tabs.append(tab(metric.heading, figure, height, xaxis=across, yaxis=down, **look))
    return tabs


def _dots(
    figure: go.Figure, x: tuple[Sequence[Stat], float], y: tuple[Sequence[Stat], float], **look: Any
) -> None:
    """Points with whiskers on both axes. x, y: the numbers and their scale. tone: colour of the whiskers."""
    tone = look.pop("tone", "var(--ink)")
    figure.add_scatter(
        x=[x[1] * stat.value for stat in x[0]],
        y=[y[1] * stat.value for stat in y[0]],
        hovertemplate="%{customdata}<extra>%{fullData.name}</extra>",
        textfont={"color": "var(--muted)", "size": 11},
        **look,
        **_whiskers(*x, "x", tone),
        **_whiskers(*y, "y", tone),
    )


def flagged(numbers: Numbers) -> Tabs:
    """Flagged share of a role's rows against what plain fine-tuning did to its safety."""
    runs, points, safety = numbers.runs, numbers.lost(), numbers.runs.safety
    figure, unit = go.Figure(), "points" if safety.is_share else safety.unit
    for place, temper in enumerate(runs.tempers):
        found = [(r, share, stat) for r, share, stat in points if runs.temper(r) == temper]
        if found:
            _dots(
                figure,
                ([Stat(share, share, share, 0, "") for _, share, _ in found], 100),
                ([stat for _, _, stat in found], _scale(safety)),
                mode="markers+text",
                text=[f" {label(role, 14)}" for role, _, _ in found],
                textposition="middle right",
                cliponaxis=False,
                name=label(temper or "untagged"),
                marker=_marker(10, f"var(--series-{(place + 1) % 8})", SYMBOLS[place % len(SYMBOLS)]),
                customdata=[
                    f"{label(r)}: {number(share, 'share')} flagged<br>{_hover(stat, safety.unit)}"
                    for r, share, stat in found
                ],
            )
    title = f"{label(safety.title)}, {label(runs.first_method('sft'))} − base ({label(unit)})"
    axes = {"xaxis": {"title": "flagged rows (%)"}, "yaxis": {"title": title, "zeroline": True}}
    return [tab("", figure, 440, **axes)] if figure.data else []


def _marker(size: int, tone: str, form: str | Sequence[str], **line: Any) -> dict[str, Any]:
    return {"size": size, "color": tone, "symbol": form, "line": line}


def pareto(numbers: Numbers) -> Tabs:
    """Role-play against safety: a point a method (mean over roles), its roles faint, the front as a line."""
    runs, tabs = numbers.runs, []
    axes = (runs.about("character")[0], runs.safety)
    groups = [(EVERY_ROLE, runs.roles)]
    if len(runs.tempers) > 1:
        groups += [(temper or "untagged", runs.of_temper(temper)) for temper in runs.tempers]
    for name, members in groups:
        figure, means = go.Figure(), []
        for method in [BASE, *runs.methods]:
            cells = [(r, [numbers.cell(r, method, axis.name) for axis in axes]) for r in members]
            found = [(role, *stats) for role, stats in cells if None not in stats]
            x, y = (numbers.mean(method, axis.name, [str(one[0]) for one in found]) for axis in axes)
            if found and x is not None and y is not None:
                means.append((method, x, y))
                _faint(runs, figure, method, found, axes)
        if means:
            _front(runs, figure, means, axes)
            tabs.append(tab(name, figure, 460))
    return tabs


def _faint(runs: StudyRuns, figure: go.Figure, method: str, cells: list[Any], axes: Axes) -> None:
    """The single roles of a method, where it has several."""
    if len(cells) > 1:
        figure.add_scatter(
            x=[_scale(axes[0]) * x.value for _, x, _ in cells],
            y=[_scale(axes[1]) * y.value for _, _, y in cells],
            mode="markers",
            opacity=0.35,
            showlegend=False,
            marker=_marker(6, colour(runs, method), symbol(runs, method)),
            customdata=[f"{label(role)}, {label(method)}<br>{_both(axes, x, y)}" for role, x, y in cells],
            hovertemplate="%{customdata}<extra></extra>",
        )


def _both(axes: Axes, x: Stat, y: Stat) -> str:
    return "<br>".join(f"{label(m.title)} {_hover(s, m.unit)}" for m, s in zip(axes, (x, y), strict=True))


def _front(runs: StudyRuns, figure: go.Figure, means: list[tuple[str, Stat, Stat]], axes: Axes) -> None:
    """The means with their intervals, and the line through those that no other beats."""
    across, up = map(_scale, axes)
    right, above = (1 if axis.better == "higher" else -1 for axis in axes)
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
        marker = _marker(14, colour(runs, method), symbol(runs, method), color="var(--surface)", width=1.5)
        words = [_both(axes, x, y)]
        look = {"mode": "markers", "name": label(method), "marker": marker, "customdata": words}
        _dots(figure, ([x], across), ([y], up), **look)
    figure.update_xaxes(title=f"{_axis(axes[0])} →").update_yaxes(title=f"{_axis(axes[1])} →")


LABELLED = 40  # more points than this are named by pointing at them alone


def reward(numbers: Numbers) -> Tabs:
    """Reward gap against attack success: a point a language, system turn and method, lines from the aligned
    model's."""
    runs = numbers.runs
    points = reward_points(numbers) if len(runs.languages) > 1 else []
    axes = (runs.about("preference")[0], runs.about("attack")[0])
    figure, (across, up) = go.Figure(), map(_scale, axes)
    before = {(p.language, p.system): p for p in points if p.method == BASE}
    for method in runs.methods:
        pairs = [(before.get((p.language, p.system)), p) for p in points if p.method == method]
        ends = [(a, b) for a, b in pairs if a is not None]
        if ends:
            figure.add_scatter(
                x=[x for a, b in ends for x in (across * a.gap.value, across * b.gap.value, None)],
                y=[y for a, b in ends for y in (up * a.success.value, up * b.success.value, None)],
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
            forms = [SYMBOLS[runs.systems.index(p.system) % len(SYMBOLS)] for p in found]
            _dots(
                figure,
                ([p.gap for p in found], across),
                ([p.success for p in found], up),
                tone=colour(runs, method),
                mode="markers+text" if len(points) <= LABELLED else "markers",
                text=[f" {label(p.language, 8)}" for p in found],
                textposition="top right",
                name=label(method),
                legendgroup=label(method),
                marker=_marker(9, colour(runs, method), forms),
                customdata=[f"{_spoken(runs, p)}<br>{_both(axes, p.gap, p.success)}" for p in found],
            )
    figure.update_xaxes(title=f"{_axis(axes[0])} →").update_yaxes(title=_axis(axes[1]))
    return [tab("", figure, 480)] if points else []


def _spoken(runs: StudyRuns, p: Point) -> str:
    turn = f", system turn: {label(p.system)}" if len(runs.systems) > 1 else ""
    return f"{label(spelled(p.language))}, {label(p.method)}{turn}"
