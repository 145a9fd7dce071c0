"""Share of replies that give the right answer (0..1).

Where the reference is a number the last number of the reply is compared with it: digits of any script,
thousands separated or not, and where a separator may be either ("2.125"), whichever reading is right. Other
references are compared as whole texts (NFKC, letters' case and spaces aside).
"""

from __future__ import annotations

import math
import re
import unicodedata
from decimal import Decimal

from playsafe.metrics import Measure, Reply

# groups of three (or, as in India, two) digits, a fraction
_NUMBER = re.compile(r"(?:(?<![^\W_])[-+])?\d+(?: \d{3}(?!\d))*(?:[.,']\d+)*")
_SIGNS = str.maketrans({"−": "-", "٫": ".", "٬": ",", "’": "'", "،": ","})
_GROUPS = re.compile(r"\d{1,3}(?:([ ,.'])\d{3}(?:\1\d{3})*)?|\d{1,2}(?:,\d{2})*,\d{3}|\d+")


class ExactMatch(Measure):
    name = "exact_match"
    summary = "share of replies that give the right answer"
    title = "exact match"
    kinds = ("task",)
    aspect = "task"

    def value(self, reply: Reply) -> float:
        if reply.text is None or not reply.prompt.references:
            return math.nan
        return float(any(matches(reply.text, reference) for reference in reply.prompt.references))


def matches(reply: str, reference: str) -> bool:
    """Whether a reply gives the reference's answer."""
    reply, reference = _plain(reply), _plain(reference)
    if _NUMBER.fullmatch(reference) is None:
        return reply == reference
    numbers = _NUMBER.findall(reply)
    return bool(numbers) and not readings(numbers[-1]).isdisjoint(readings(reference))


def readings(number: str) -> set[Decimal]:
    """What a number with separators may mean: all of them group digits, or the last one starts a fraction."""
    sign, digits = ("-", number[1:]) if number[0] == "-" else ("", number.lstrip("+"))
    found = {digits} if _GROUPS.fullmatch(digits) else set()
    whole, separator, fraction = digits.rpartition("." if digits.rfind(".") > digits.rfind(",") else ",")
    if separator and separator not in whole and _GROUPS.fullmatch(whole):
        found.add(f"{_joined(whole)}|{fraction}")
    if " " in digits:  # also a number that only stands behind another
        found.add(digits.rpartition(" ")[2])
    if not found:
        found = {re.split(r"[ ,.']", digits)[-1]}
    return {Decimal(sign + _joined(one).replace("|", ".")) for one in found}


def _joined(digits: str) -> str:
    return re.sub(r"[ ,.']", "", digits)


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).translate(_SIGNS)
    folded = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    return " ".join(folded.casefold().split())


METRIC = ExactMatch()
