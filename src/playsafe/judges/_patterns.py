"""The grammar that the rules read: refusals.yaml, lecture.yaml and scene.yaml, compiled when first asked for.

A key says what is made of its value, then its name. A bare name is a text that later ones hold as {{NAME}}.
"any" joins alternatives to such a text, "one" compiles them to one pattern, "each" every one of them,
"strong" likewise for a language of STRONG. "pattern" compiles a text, "by line" and "as it stands" under
other flags. Every file knows the texts of refusals.yaml.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from playsafe.settings import read_yaml

_FLAGS = {"pattern": re.IGNORECASE, "by line": re.MULTILINE, "as it stands": re.RegexFlag(0)}


@cache
def read(name: str) -> Any:
    """The compiled patterns of a file, by their names."""
    texts = dict(read("refusals").texts) if name != "refusals" else {}
    found: dict[str, Any] = {"texts": texts, "STRONG": {}}

    def whole(text: str) -> str:
        return re.sub(r"\{\{(\w+)\}\}", lambda held: texts[held[1]], text)

    for key, value in read_yaml(Path(__file__).parent / f"{name}.yaml").items():
        how, _, named = key.rpartition(" ")
        listed = [whole(one) for one in ([value] if isinstance(value, str) else value)]
        joined = "(?:" + "|".join(listed) + ")"
        if how in ("", "any"):
            texts[named] = listed[0] if how == "" else joined
        elif how == "one":
            found[named] = re.compile(joined, re.IGNORECASE)
        elif how in ("each", "strong"):
            place = found if how == "each" else found["STRONG"]
            place[named] = tuple(re.compile(one, re.IGNORECASE) for one in listed)
        else:
            found[named] = re.compile(listed[0], _FLAGS[how])
    return SimpleNamespace(**found)
