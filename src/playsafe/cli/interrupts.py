"""Ctrl-C and SIGTERM end a command at once, whatever it is doing, with one line.

Nothing has to be cleaned up: files are replaced or appended to whole, the operating system frees locks,
workers end with their parent, and the next start sweeps what is left. So no exception has to find its way
through libraries that may swallow it, and a hanging request holds nobody up.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LINE = "interrupted; repeat the command to continue"
SHOW_CURSOR = "\x1b[?25h"  # a progress bar hides it


@contextmanager
def ending_at_signals() -> Iterator[None]:
    """While it lasts these signals end the process with 128 + their number; elsewhere than in the main
    thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = os.pipe()
    os.set_blocking(told, False)
    # a thread hears of them even while the main one is inside of a long call into a library
    before = {number: signal.signal(number, _nothing) for number in SIGNALS}
    earlier = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    threading.Thread(target=_end, args=(heard,), daemon=True).start()
    os.register_at_fork(after_in_child=_forget)
    try:
        yield
    finally:
        signal.set_wakeup_fd(earlier)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(told)  # the thread ends


def deaf() -> None:
    """Heed them no more."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _nothing(number: int, frame: object) -> None:
    """The wakeup descriptor tells `_end`."""


def _end(heard: int) -> None:
    while byte := os.read(heard, 1):
        if byte[0] in SIGNALS:
            with contextlib.suppress(OSError):
                cursor = SHOW_CURSOR if os.isatty(2) else ""
                os.write(2, f"{cursor}\n{LINE}\n".encode() if cursor else f"{LINE}\n".encode())
            os._exit(128 + byte[0])
    os.close(heard)


def _forget() -> None:
    """A forked child ends at signals as processes do, and tells its parent nothing."""
    if signal.getsignal(signal.SIGTERM) is _nothing:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
