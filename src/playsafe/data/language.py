"""The language of a text, by py3langid (a naive Bayes classifier over byte n-grams; no network, no torch)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

# those of MPO's pairs, MultiJail, XSafety, MGSM and the embedded world, and some large ones beside them
_CODES = "ar bn de en es fr hi id it ja jv ko pt ru sw te th tr vi zh"
LANGUAGES = frozenset(_CODES.split())


def language_of(text: str) -> str:
    """ISO 639-1 code of the likeliest of LANGUAGES. A guess: a text of a few words says little."""
    return str(_identifier().classify(text)[0])


def main_language(texts: Iterable[str]) -> str:
    """The language of most of the texts, of which there must be one."""
    return Counter(map(language_of, texts)).most_common(1)[0][0]


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(LANGUAGES)
    return identifier
