"""Programs of others (chat templates, regular expressions) end in time and in memory."""

from __future__ import annotations

import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playsafe.errors import BadInput

MEMORY = 1 << 30  # bytes that such a program may take


class _Up(BaseException):
    """The time is up; no `except Exception` on the way takes it for something else."""


@contextmanager
def limited(seconds: float, what: str, where: str = "", *, memory: int | None = None) -> Iterator[None]:
    """BadInput where the block takes longer; MemoryError where it takes more than `memory` bytes.

    Time is kept by a signal, which interrupts regular expressions too, so in the main thread alone. Memory is
    limited where the system says how much is in use (Linux).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _ring)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with _memory(memory):
            yield
    except _Up:
        next = "A program that comes with a file of somebody's never ends, or not in a lifetime."
        raise BadInput(f"{what} takes over {seconds:g} s.", where=where, next=next) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, before)


def _ring(number: int, frame: object) -> None:
    raise _Up


@contextmanager
def _memory(most: int | None) -> Iterator[None]:
    usage = Path("/proc/self/statm")
    if most is None or sys.platform != "linux" or not usage.exists():
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(usage.read_text().split()[0]) * resource.getpagesize()
    limit = used + most if hard == resource.RLIM_INFINITY else min(used + most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
