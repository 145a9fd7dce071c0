"""Which language a reply is in, and whether the tables of patterns can read it."""

from __future__ import annotations

import re
import unicodedata

from playsafe.data.language import language_of

READ = frozenset({"en", "de", "es", "fr"})  # languages of the tables of patterns
LONGEST = 2_000  # characters whose language is asked
FEWEST_LETTERS = 20  # replies with fewer say too little about their language
FEWEST_SIGNS = 4  # as much of scripts whose signs stand for syllables or words, or that few languages use
FEWEST_WORDS = 20  # shorter replies say too little about their language
SHARE = 0.08  # of the words that must be small words of one language

_WORD = re.compile(r"[^\W\d_]{1,20}")
_SIGN = re.compile(
    r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]"
)  # Thai, kana, Han, Hangul
# the commonest small words: a text of some length has many of those of its own language
_SMALL = {
    "en": "the a an and or of to in is are was be it i you he she we they that this for with not on my "
    "your me as at have has had will no do what but from his her their there if so can all by our "
    "us one when would its am him them who how more about out up then now don't it's i'm thy thee "
    "ye",
    "de": "der die das und ist nicht ich du sie er wir ihr ein eine einen einem zu den dem des mit auf "
    "für von es im in auch wie was aber mir mich dich dir sich wenn nur so noch dann hat habe "
    "sind war man bei nach aus um",
    "es": "el la los las de que y en un una es no se por con para lo como pero su yo te me mi más del "
    "al si sin este esta esto eso muy o le les tu él ella nos fue son está hay",
    "fr": "le la les de des et est un une je tu il elle on nous vous que qui ne pas dans pour sur avec "
    "ce cette au aux du mais en son sa ses mon ma me te se plus si y ou à sont était c'est d'un "
    "d'une j'ai n'est",
}
_SMALL_WORDS = {language: frozenset(re.findall(r"[^\W\d_]+", words)) for language, words in _SMALL.items()}


def spoken(text: str) -> str:
    """The likeliest language of a reply."""
    return language_of(text.strip()[:LONGEST].encode("utf-8", "replace").decode())


def telling(text: str) -> bool:
    """Whether a reply is long enough for its language to be told."""
    text = text[:LONGEST]
    return sum(map(str.isalpha, text)) >= FEWEST_LETTERS or len(_SIGN.findall(text)) >= FEWEST_SIGNS


def readable(text: str) -> bool:
    """Whether most letters are Latin and a longer text has the small words of one of the languages."""
    if not text.isascii():
        letters = [c for c in text if c.isalpha()]
        latin = sum(c.isascii() or unicodedata.name(c, "").startswith("LATIN") for c in letters)
        if 2 * latin < len(letters):
            return False
    words = [m.group().lower() for m in _WORD.finditer(text)]
    if len(words) < FEWEST_WORDS:
        return True
    return max(share(words, language) for language in _SMALL_WORDS) >= SHARE


def share(words: list[str], language: str) -> float:
    return sum(word in _SMALL_WORDS[language] for word in words) / max(1, len(words))
