"""The only writer of run files: atomic, resumable, finished only when summary.json lies there.

A run directory belongs to one identity (a hash of everything that can change a number). Opened with
another identity it is refused, so that no run continues on top of another one's files. JSONL files are
append-only; a line torn by a kill is cut off when the file is opened again. One process at a time works in
a run directory (`locked`), and says in events.jsonl what it did; another one is refused (`Busy`). Where
several processes train one run (`accelerate launch`), the first one writes and the others only read.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from playsafe.errors import BadInput, Busy

EVENTS = "events.jsonl"
_LOCK = ".lock"


def canonical(value: Any) -> str:
    """JSON with sorted keys, the form that is hashed."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def digest(value: Any) -> str:
    """SHA-256 (first 16 hex digits) of a JSON-able value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def ranks() -> tuple[int, int]:
    """This process's rank and the number of processes, as the launcher says (0 of 1 without one)."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def is_writer() -> bool:
    return ranks()[0] == 0


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new one, never a part."""
    if not is_writer():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def read_json(path: Path) -> Any:
    """Content of a JSON file; BadInput when it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput("the file does not exist.", where=str(path)) from None
    except json.JSONDecodeError as error:
        raise BadInput(f"broken JSON: {error.msg}.", where=f"{path}:{error.lineno}") from None


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Complete lines of a JSONL file (none when it does not exist); a torn last line is left out."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines() if line.strip()]


def append_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Append rows in one write and force them to disk."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if not is_writer():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        handle.write(text.encode())
        handle.flush()
        os.fsync(handle.fileno())


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Replace a JSONL file as a whole."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def cut_torn_line(path: Path) -> None:
    """Remove what follows the last newline, the trace of a kill in the middle of a write."""
    if path.exists():
        content = path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            with path.open("rb+") as handle:
                handle.truncate(end)


def seals(folder: Path, names: Iterable[str]) -> dict[str, list[Any]]:
    """Of each of these files that is there: number of lines and SHA-256, so that a lost line shows."""
    found = {}
    for name in names:
        if (folder / name).exists():
            content = (folder / name).read_bytes()
            found[name] = [content.count(b"\n"), hashlib.sha256(content).hexdigest()]
    return found


def broken_seals(folder: Path, sealed: dict[str, list[Any]] | None) -> list[str]:
    """Which of these files are missing or hold something else than when they were sealed."""
    sealed = sealed or {}
    now = seals(folder, sealed)
    return [name for name, seal in sealed.items() if now.get(name) != seal]


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
    missing, until = not path.exists(), time.monotonic() + wait
    try:
        held = _hold(path, until, shared=bool(name))
        lock = FileLock(path / f"{_LOCK}{name}")
        try:
            lock.acquire(timeout=max(0.0, until - time.monotonic()))
        except Timeout:
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
        cut_torn_line(path / EVENTS)
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)  # held, so that whoever waits for it looks anew
        lock.release()
        if missing and not name:
            with contextlib.suppress(OSError):
                path.rmdir()  # whoever was refused leaves nothing; what is not empty stays
        os.close(held)


def _hold(path: Path, until: float, *, shared: bool) -> int:
    """A locked descriptor of a directory, which is made where it is missing; Timeout where others hold it."""
    while True:
        if path.is_file() or (path.is_symlink() and not path.exists()):
            raise BadInput("the path is no directory.", where=str(path), next="Choose another one.")
        try:
            path.mkdir(parents=True, exist_ok=True)
            held = os.open(path, os.O_RDONLY)
        except (FileNotFoundError, FileExistsError):  # it came or went with somebody who was refused
            continue
        except OSError as error:
            raise BadInput(f"the directory cannot be used: {error.strerror}.", where=str(path)) from None
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


def append_once(path: Path, row: dict[str, Any], key: str = "key") -> None:
    """Append a row to a file that several processes write, unless a row of its key is there."""
    with locked(path.parent, wait=60.0):
        cut_torn_line(path)
        if row[key] not in {known[key] for known in read_jsonl(path)}:
            append_jsonl(path, [row])


def add_event(path: Path, **event: Any) -> None:
    """A line of events.jsonl: when, by which process, and what happened."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    append_jsonl(path / EVENTS, [{"time": now, "pid": os.getpid(), **event}])


def claim(path: Path, identity: dict[str, Any]) -> None:
    """Make a directory the one of this identity; BadInput where it is somebody else's."""
    stored = path / "config.yaml"
    if stored.exists():
        _refuse_other(path, read_json(stored), identity)
        return
    if path.exists() and any(not _ours(file) for file in path.iterdir()):
        raise BadInput(
            "the directory holds other files and no run of ours.",
            where=str(path),
            next="Choose another output_dir.",
        )
    write_json(stored, identity)  # JSON is YAML


class RunDir:
    """One run on disk. `identity` lists everything that can change a number of this run."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path, self.identity = path, identity
        if is_writer():
            claim(path, identity)
            for file in path.rglob("*.jsonl"):
                cut_torn_line(file)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def digest(self) -> str:
        return digest(self.identity)

    @property
    def finished(self) -> bool:
        return (self.path / "summary.json").exists()

    def broken(self) -> list[str]:
        """Of a finished run the files that are not as its summary says."""
        path = self.path / "summary.json"
        return broken_seals(self.path, read_json(path).get("files")) if path.exists() else []

    def drop(self, *files: str) -> None:
        """Remove files that rest on other settings."""
        for name in files if is_writer() else ():
            (self / name).unlink(missing_ok=True)

    def status(self, stage: str, **details: Any) -> None:
        """Say what the run is doing; for people, read by nothing."""
        write_json(self / "status.json", {"stage": stage, **details})

    def finish(self, summary: dict[str, Any], files: Iterable[str]) -> None:
        """Mark the run as done; the last file written. files: those that its numbers stand in."""
        self.status("done")
        told = {"identity": self.digest, **summary, "files": seals(self.path, files)}
        write_json(self / "summary.json", told)


def _ours(file: Path) -> bool:
    """Whether a file says nothing of a run yet: a lock, events, what a kill in `write_text` leaves behind."""
    return file.name == EVENTS or file.name.startswith(_LOCK) or file.name.endswith(".tmp")


def _refuse_other(path: Path, stored: dict[str, Any], identity: dict[str, Any]) -> None:
    wanted = json.loads(canonical(identity))
    if stored == wanted:
        return
    differing = ", ".join(sorted(_differences(stored, wanted))[:4])
    raise BadInput(
        f"the directory belongs to another study (it differs in {differing}).",
        where=str(path),
        next="Choose another output_dir, or delete the directory to start again.",
    )


def _differences(a: Any, b: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in a.keys() | b.keys():
            yield from _differences(a.get(key), b.get(key), f"{prefix}.{key}" if prefix else str(key))
    elif a != b:
        yield prefix


def find_runs(root: Path) -> list[Path]:
    """Directories of finished runs under `root`, sorted."""
    return sorted(file.parent for file in root.rglob("summary.json"))


def slug(name: str) -> str:
    """A directory name for a role or method: letters, digits, dot, dash and underscore."""
    cleaned = re.sub(r"[^\w.-]+", "_", name).strip("._") or "role"
    return cleaned if cleaned not in ("base", "scores", "no_role", "cache") else f"{cleaned}_"
