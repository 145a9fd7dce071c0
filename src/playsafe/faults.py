"""What is wrong with parallel preference pairs: replies in another language, sides that are swapped or the
same, safe replies that do not refuse, duplicates. Nothing is dropped here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playsafe.data.language import LANGUAGES, language_of
from playsafe.data.pairs import ParallelPair, Side
from playsafe.judges.rules import folded, refusal
from playsafe.settings import read_yaml

KINDS = {
    "empty": "the prompt or a reply is empty",
    "untranslated": "the target's prompt is in the dominant language",
    "prompt language": "the prompt is not in the language that the side declares",
    "unknown language": "no language of that code can be identified, so that none of the texts was looked at",
    "chosen language": "the safe reply is not in the language of its prompt",
    "rejected language": "the unsafe reply is not in the language of its prompt",
    "identical": "both replies are the same text",
    "swapped": "the unsafe reply refuses and the safe one does not",
    "no refusal": "neither reply refuses",
    "unread": "whether the safe reply refuses is not known: no rule of ours reads its language",
    "duplicate": "an earlier target has the same prompt and replies",
}
OPENING = 160  # characters in which a refusal shows, where there are words alone to tell it by
_RULED = ("en", "de", "es", "fr")  # languages that the judge `rules` reads
_WORDS = read_yaml(Path(__file__).with_suffix(".yaml"))  # openings of refusals, by language


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one side. id: of the pair, "dominant" or "target". kind: a key of KINDS."""

    id: str
    side: str
    language: str
    kind: str


def refuses(language: str, reply: str) -> bool | None:
    """Whether a reply refuses; None in a language that nothing here reads."""
    if language in _RULED:
        return refusal(folded(reply)) is not None
    if language not in _WORDS:
        return None
    opening = reply[:OPENING].lower()
    return any(word in opening for word in _WORDS[language])


def check(
    pairs: Sequence[ParallelPair], refuses: Callable[[str, str], bool | None] = refuses
) -> tuple[Fault, ...]:
    """Every fault of every side; a dominant side that several pairs share is looked at once.

    refuses: (language, reply) → whether the reply refuses, None where that cannot be read.
    """
    found: list[Fault] = []
    dominant: set[Side] = set()
    targets: set[Side] = set()
    for pair in pairs:
        if pair.dominant not in dominant:
            kinds = [*_faults(pair.dominant, refuses)]
            found += [Fault(pair.id, "dominant", pair.dominant.language, kind) for kind in kinds]
        asked = language_of(pair.target.messages[-1].content)
        kinds = ["untranslated"] if pair.dominant.language in (pair.target.language, asked) else []
        kinds += [kind for kind in _faults(pair.target, refuses) if not (kinds and kind == "prompt language")]
        kinds += ["duplicate"] if pair.target in targets else []
        found += [Fault(pair.id, "target", pair.target.language, kind) for kind in kinds]
        dominant.add(pair.dominant)
        targets.add(pair.target)
    return tuple(found)


def count(pairs: Sequence[ParallelPair], faults: Sequence[Fault]) -> list[dict[str, Any]]:
    """A row per side and language: sides looked at, and how many have each kind of fault."""
    shared = {pair.dominant for pair in pairs}
    total = Counter(("dominant", side.language) for side in shared)
    total += Counter(("target", pair.target.language) for pair in pairs)
    kinds = Counter((fault.side, fault.language, fault.kind) for fault in faults)
    rows: list[dict[str, Any]] = [
        {"side": side, "language": language, "sides": total[side, language]}
        for side, language in sorted(total)
    ]
    return [row | {kind: kinds[row["side"], row["language"], kind] for kind in KINDS} for row in rows]


def _faults(side: Side, refuses: Callable[[str, str], bool | None]) -> Iterable[str]:
    if not all(text.strip() for text in (side.messages[-1].content, side.chosen, side.rejected)):
        yield "empty"
        return
    texts = {"prompt": side.messages[-1].content, "chosen": side.chosen, "rejected": side.rejected}
    if side.language not in LANGUAGES:
        yield "unknown language"
        texts = {}
    for name, text in texts.items():
        if language_of(text) != side.language:
            yield f"{name} language"
    if side.chosen.strip() == side.rejected.strip():
        yield "identical"
        return
    # a reply in another language than its prompt is read in its own
    chosen = refuses(language_of(side.chosen), side.chosen)
    if chosen is None:
        yield "unread"
    elif not chosen:
        yield "swapped" if refuses(language_of(side.rejected), side.rejected) else "no refusal"
