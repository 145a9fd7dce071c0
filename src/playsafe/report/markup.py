"""Escaping, the only way from text to page: HTML text, JSON inside a script, labels of Plotly."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any

DASH = "–"  # shown where nothing was measured


def text(value: object) -> str:
    """Text for an HTML text node or a quoted attribute."""
    return html.escape(str(value), quote=True)


def embedded_json(value: Any) -> str:
    """JSON that no HTML parser can leave: no <, >, & and no line separators of JavaScript."""
    raw = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        raw = raw.replace(character, f"\\u{ord(character):04x}")
    return raw


def label(value: object, limit: int = 28) -> str:
    """Text for Plotly, which reads a little HTML in its labels; one line, cut at `limit` characters."""
    line = " ".join(str(value).split())
    return html.escape(line if len(line) <= limit else line[: limit - 1] + "…", quote=False)


def percent(value: float | None, digits: int = 1) -> str:
    return DASH if value is None else f"{100 * value:.{digits}f} %"


def number(value: float | None, unit: str) -> str:
    """A share in percent, a score with three decimals."""
    return percent(value) if unit == "share" else DASH if value is None else f"{value:.3f}"


def ends(low: float | None, high: float | None, unit: str) -> str:
    """An interval in the unit of its value, without the sign of it."""
    if low is None or high is None:
        return ""
    return f"[{100 * low:.1f}, {100 * high:.1f}]" if unit == "share" else f"[{low:.3f}, {high:.3f}]"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], key: str, caption: str = "") -> str:
    """An HTML table in a box that scrolls sideways; the first column heads its row."""
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{text(row[0])}</th>'
        + "".join(f"<td>{text(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    note = f"<caption>{text(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(key)}"><table id="{text(key)}">'
        f"{note}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
