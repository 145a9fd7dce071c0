"""One family of errors: what is wrong, where, what is allowed, what to do next.

The command line prints exactly these four parts on one line and leaves with `exit_code`; a traceback is
shown only for a bug of ours. To add an error, subclass `PlaysafeError` and choose the exit code.
"""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable


class PlaysafeError(Exception):
    """Base of every error that a user can cause or mend.

    what: the fault, with the offending value.
    where: file, line, key or row in which it stands.
    allowed: what would have been accepted.
    next: the step that mends it.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", allowed: str = "", next: str = "") -> None:
        self.what, self.where, self.allowed, self.next = what, where, allowed, next
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.allowed:
            text += f" Allowed: {self.allowed}."
        if self.next:
            text += f" {self.next}"
        return " ".join(text.split())


class BadInput(PlaysafeError, ValueError):
    """A file, an option, a row or a model that cannot be used as given."""


class Busy(BadInput):
    """Another process is at work where this one wants to write."""

    exit_code = 5


class CheckFailed(PlaysafeError, RuntimeError):
    """A self-check at the start of or during a run did not hold; the numbers would not be trustworthy."""

    exit_code = 3


class SystemFault(PlaysafeError, RuntimeError):
    """The operating system refuses: the disk is full, a directory has gone, permission is missing."""

    exit_code = 3

    @classmethod
    def of(cls, error: Exception) -> PlaysafeError | None:
        """What an error of the operating system, or a library's about one, means; None for another."""
        said = str(error)
        number = error.errno if isinstance(error, OSError) else None
        if isinstance(error, OSError) and number is None:
            return None  # a library's own, such as that a model cannot be found
        if number == errno.ENAMETOOLONG or "embedded null byte" in said:
            return BadInput("a path is too long, or holds what no path does.", where=_name(error)[:80])
        torch_writes = "PytorchStreamWriter" in said or "inline_container" in said
        if number is None and not ("(os error " in said or torch_writes):
            return None
        full = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in said
        full = full or torch_writes
        what = (
            "the disk is full" if full else (error.strerror or said) if isinstance(error, OSError) else said
        )
        next = (
            "Make room and repeat the command; it continues." if full else "Mend it and repeat the command."
        )
        return cls(f"{what[:1].lower()}{what[1:]}.", where=_name(error), next=next)


def _name(error: Exception) -> str:
    """The file that an error is about."""
    name = getattr(error, "filename", None)
    return os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else ""


class MissingExtra(PlaysafeError, ImportError):
    """An optional library is not installed; says what installs it."""

    exit_code = 3

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs an optional library.", next=f"Install it: pip install 'playsafe[{extra}]'"
        )


def in_words(error: Exception) -> str:
    """What a parser's error means to whoever wrote the file."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if "int_max_str_digits" in str(error):
        return "a number has thousands of digits"
    return str(error).rstrip(".") or type(error).__name__


def nearest(word: str, choices: Iterable[str]) -> str:
    """A sentence that names the choice nearest to `word`, or an empty string when none is near."""
    found = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f"Did you mean {found[0]!r}?" if found else ""
