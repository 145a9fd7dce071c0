"""Sentences about languages: how far attack success lies apart, how much a method closes, reward gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from playsafe.report.text import DASH, ends, minus, number, shown, spearman
from playsafe.results.languages import Languages, Point, lead, spelled
from playsafe.results.load import BASE
from playsafe.results.numbers import Numbers, Stat
from playsafe.statistics import spearman_interval


def in_points(stat: Stat, sign: bool = False) -> str:
    """ "3.1 points [−1.0, 7.2]"."""
    plus = "+" if sign and stat.value > 0 else ""
    return f"{plus}{minus(100 * stat.value, 1)} points {ends(stat.low, stat.high, 'share')}"


def closing(numbers: Numbers) -> list[str]:
    """How much easier the other languages are attacked before and after training; nothing for one."""
    found = Languages(numbers)
    before = found.apart(BASE)
    if before is None or found.runs.dominant is None:
        return []
    first, others = spelled(found.runs.dominant), listed([spelled(one) for one in found.others])
    where = f"in the other languages ({others})" if len(found.others) > 1 else f"in {others}"
    start = "Before training, attack success is" if not found.runs.is_audit else "Attack success is"
    if before.low > 0:
        sentence = f"{start} {in_points(before)} higher {where} than in {first}"
    elif before.high < 0:
        turned = before._replace(value=-before.value, low=-before.high, high=-before.low)
        sentence = f"{start} {in_points(turned)} lower {where} than in {first}"
    else:
        sentence = f"{start} not shown to differ {where} from {first} ({in_points(before, sign=True)})"
    method = lead(found.runs)
    if method is None:
        return [f"{sentence}."]
    after, part = found.apart(method), found.closed(method)
    if after is not None:
        sentence += f"; {'for' if found.runs.is_audit else 'after'} {method} {in_points(after)}"
    if part is not None:
        sentence += f": {shown(part, 'share')} of the difference is closed"
    return [f"{sentence}.", *_moved(found, method), *_rivals(found, method)]


def _moved(found: Languages, method: str) -> list[str]:
    """The levels behind the distance: it may also close because the dominant language gets worse."""
    before, after = found.levels(BASE), found.levels(method)
    parts = [
        f"{name} {number(x.value, 'share')} → {number(y.value, 'share')}"
        for (name, x), y in zip(before.items(), after.values(), strict=True)
        if x is not None and y is not None
    ]
    return [f"Attack success from the aligned model to {method}: {', '.join(parts)}."] if parts else []


def _rivals(found: Languages, method: str) -> list[str]:
    parts = {rival: found.closed(rival) for rival in found.runs.methods if rival != method}
    each = [f"{rival} {shown(part, 'share')}" for rival, part in parts.items() if part is not None]
    return [f"Of the same difference the other methods close: {', '.join(each)}."] if each else []


def listed(names: Sequence[str]) -> str:
    """ "German, Spanish and French"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or DASH


def association(points: Sequence[Point]) -> str:
    """The sentence under the figure of reward gap against attack success."""
    n = len(points)
    shared = "The points share models and prompts, so the interval is narrower than it should be."
    if n < 4:
        return f"No correlation: fewer than four points (n = {n})."
    rho = spearman_interval([p.gap.value for p in points], [p.success.value for p in points])
    if math.isnan(rho.value):
        return f"No correlation: one side does not vary (n = {n} points)."
    more = "the larger the gap, the {} the attack success"
    words = (more.format(word) for word in ("lower", "higher"))
    return f"{spearman(rho, f'{n} points', *words)} {shared}"
