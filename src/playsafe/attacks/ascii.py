"""Code numbers: each sign is its decimal code point (ASCII, and Unicode beyond it), blanks and lines too."""

from __future__ import annotations

import re

from playsafe.attacks._cipher import Cipher, CipherOptions, read_signs

_NUMBER = re.compile(r"[0-9]{1,7}")
_LAST = 0x10FFFF
_AROUND = "\"'`*()[]“”."
LETTERS = 2 / 3  # share of letters and blanks that makes a row of numbers a message


class Ascii(Cipher):
    name = "ascii"
    summary = "request and reply as decimal character codes"
    Options = CipherOptions

    def explain(self, options: CipherOptions) -> str:
        how = (
            "character codes: each sign is replaced by its decimal ASCII number (Unicode where ASCII has "
            "none), a space by 32, and the numbers are parted by blanks."
        )
        return self.introduced(options, how, "character codes")

    def encode(self, text: str, options: CipherOptions) -> str:
        return " ".join(str(ord(c)) for c in text)

    def invert(self, text: str, options: CipherOptions) -> str:
        return "".join(_exact(piece) for piece in text.split(" ")) if text else ""

    def decode(self, reply: str, options: CipherOptions) -> str:
        try:
            exact = self.invert(reply, options)
        except ValueError:
            return read_signs(reply, _sign, _is_text)
        return exact if _is_text(exact) else reply


def _exact(piece: str) -> str:
    if _NUMBER.fullmatch(piece) is None or str(number := int(piece)) != piece:
        raise ValueError(f"{piece[:20]!r} is no character code")
    return chr(number)


def _sign(piece: str) -> str | None:
    """A printable sign, a blank or a line end."""
    piece = piece.strip(_AROUND)
    if piece in ("/", "|"):
        return " "
    if _NUMBER.fullmatch(piece) is None or (number := int(piece)) > _LAST:
        return None
    sign = chr(number)
    return sign if sign.isprintable() or sign in "\n\t\r" else None


def _is_text(text: str) -> bool:
    """Letters for the most part, and not in order: ordinary lists of numbers mostly are."""
    letters, blanks = sum(map(str.isalpha, text)), sum(map(text.count, " \n"))
    in_order = sorted(text)
    return (
        letters > 0
        and letters + blanks >= LETTERS * len(text)
        and list(text) not in (in_order, in_order[::-1])
    )


ATTACK = Ascii()
