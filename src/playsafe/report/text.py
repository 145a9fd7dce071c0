"""Numbers as people read them, and text for places where no template escapes it: scripts and figures."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from playsafe.metrics import Measure
from playsafe.results.numbers import Stat
from playsafe.statistics import Interval
from playsafe.visible import straight

DASH = "–"  # shown where nothing was measured
PERCENT = ("share", "change")  # units shown in hundredths


def embedded_json(value: Any) -> str:
    """JSON that no HTML parser can leave: no <, >, & and no line separators of JavaScript."""
    raw = json.dumps(_seen(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        raw = raw.replace(character, f"\\u{ord(character):04x}")
    return raw


def _seen(value: Any) -> Any:
    """A value whose texts turn nothing round (see `straight`)."""
    if isinstance(value, str):
        return straight(value)
    if isinstance(value, dict):
        return {_seen(key): _seen(one) for key, one in value.items()}
    return [_seen(one) for one in value] if isinstance(value, (list, tuple)) else value


def label(value: object, limit: int = 28) -> str:
    """Text for Plotly, which reads a little HTML in its labels; one line, cut at `limit` characters."""
    line = " ".join(str(value).split())
    return html.escape(line if len(line) <= limit else line[: limit - 1] + "…", quote=False)


def minus(value: float, digits: int) -> str:
    """A number with a true minus sign, and no minus before a zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    return DASH if value is None else f"{minus(100 * value, digits)} %"


def number(value: float | None, unit: str) -> str:
    """A share or a relative change in percent, anything else as it is."""
    if value is None:
        return DASH
    return percent(value) if unit in PERCENT else minus(value, 3 if abs(value) < 100 else 1)


def ends(low: float | None, high: float | None, unit: str) -> str:
    """An interval in the unit of its value, without the sign of it."""
    if low is None or high is None:
        return ""
    return f"[{number(low, unit)}, {number(high, unit)}]".replace(" %", "")


def shown(stat: Stat | None, unit: str, interval: bool = True) -> str:
    """ "71.2 % [64.0, 77.5]", or a dash where nothing was measured."""
    if stat is None:
        return DASH
    value = number(stat.value, unit)
    return f"{value} {ends(stat.low, stat.high, unit)}" if interval else value


def signed(value: float, unit: str) -> str:
    """With its sign; shares and changes in hundredths."""
    scale, digits = (100, 1) if unit in PERCENT else (1, 3)
    return f"{round(scale * value, digits) + 0.0:+.{digits}f}".replace("-", "−")


def points(stat: Stat | None, unit: str) -> str:
    """A difference with its sign, shares in percentage points."""
    if stat is None:
        return DASH
    value, low, high = (signed(x, unit) for x in stat[:3])
    return f"{value} [{low}, {high}]"


def apart(metric: Measure) -> str:
    """The unit of a difference: a relative change where the measure lies on a log scale."""
    return "change" if metric.log else metric.unit


def spearman(rho: Interval, n: str, falls: str, rises: str) -> str:
    """A rank correlation, and what it says where its interval has one sign."""
    what = falls if rho.high < 0 else rises if rho.low > 0 else "no association detected"
    value, low, high = (minus(x, 2) for x in rho)
    return f"Spearman ρ = {value} [{low}, {high}] over n = {n} (Fisher's z): {what}."


class Table(NamedTuple):
    """A table of strings; the first cell heads its row. key: its id on the page."""

    key: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def count(number: int, noun: str, plural: str = "") -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
