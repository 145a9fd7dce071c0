"""One process at a time works in a directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from playsafe.errors import Busy, SystemFault
from playsafe.rundir.files import is_writer, read_jsonl, refuse_vanished, sweep, watched

EVENTS = "events.jsonl"
LOCK = ".lock"
TRIES = 100
ELSEWHERE = "Choose another output_dir."


@contextmanager
def locked(path: Path, wait: float = 0.0, name: str = "") -> Iterator[None]:
    """This process alone works in a directory; Busy where another one does.

    The directory itself is locked, so that deleting files in it frees nothing, and a file in it for file
    systems that lock no directories. The operating system gives the lock of a dead process back: none is
    ever stale. wait: seconds to give a process that is just ending. name: of a part of the work, beside
    which other parts may be done, though not the whole.
    """
    if not is_writer():
        yield
        return
    refuse_vanished(path)
    missing, until = not path.exists(), time.monotonic() + wait
    try:
        held = _hold(path, until, shared=bool(name))
        lock = FileLock(path / f"{LOCK}{name}")
        try:
            lock.acquire(timeout=max(0.0, until - time.monotonic()))
        except BaseException:
            os.close(held)
            raise
    except Timeout:
        last = next(iter(read_jsonl(path / EVENTS)[-1:]), {})
        who = f" (process {last['pid']}, since {last['time']})" if "pid" in last else ""
        raise Busy(
            f"another process is at work in this directory{who}.",
            where=str(path),
            next="Wait until it ends, or stop it and repeat the command.",
        ) from None
    try:
        if not name:
            sweep(path)
        with watched(path):
            yield
    finally:
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink(missing_ok=True)  # held, so that whoever waits for it looks anew
        lock.release()
        if missing and not name:
            with contextlib.suppress(OSError):
                path.rmdir()  # whoever was refused leaves nothing; what is not empty stays
        os.close(held)


def _hold(path: Path, until: float, *, shared: bool) -> int:
    """A locked descriptor of a directory, which is made where it is missing; Timeout where others hold it."""
    tries = 0
    while True:
        tries += 1
        if path.is_symlink() and not path.exists():
            raise SystemFault("the path is a link to nothing.", where=str(path), next=ELSEWHERE)
        if path.exists() and not path.is_dir():
            raise SystemFault("the path is no directory.", where=str(path), next=ELSEWHERE)
        try:
            path.mkdir(parents=True, exist_ok=True)
            held = os.open(path, os.O_RDONLY)
        except (FileNotFoundError, FileExistsError) as error:  # it came or went with somebody who was refused
            if tries < TRIES:
                continue
            what = f"the directory cannot be made: {error.strerror}."
            raise SystemFault(what, where=str(path), next=ELSEWHERE) from None
        except OSError as error:
            what = f"the directory cannot be used: {error.strerror}."
            raise SystemFault(what, where=str(path), next=ELSEWHERE) from None
        try:
            fcntl.flock(held, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(held), path.stat()):
                return held
            os.close(held)
        except BlockingIOError:
            os.close(held)
            if time.monotonic() >= until:
                raise Timeout(str(path)) from None
            time.sleep(0.02)
        except OSError:  # no locks on directories here: the file's stands alone
            return held
