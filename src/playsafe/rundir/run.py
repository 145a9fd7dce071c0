"""A run directory: whose it is, what it holds, when it is finished.

A run directory belongs to one identity (a hash of everything that can change a number). Opened with another
identity it is refused, so that no run continues on top of another one's files. One process at a time works in
it (`locked`), and says in events.jsonl what it did.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playsafe.errors import BadInput
from playsafe.rundir.files import (
    Damaged,
    append_jsonl,
    intact,
    is_temporary,
    is_writer,
    read_json,
    read_jsonl,
    write_json,
    write_text,
)
from playsafe.rundir.hashes import broken_seals, canonical, digest, seals
from playsafe.rundir.locks import EVENTS, LOCK, locked

CONFIG, SUMMARY = "config.yaml", "summary.json"
IDENTITY = ".identity"  # its hash, by which a config.yaml that was lost is written anew
OWN = ("base", "scores", "no_role", "cache")  # names of directories with a meaning
LONGEST = 100  # characters in the name of a directory, of which file systems take 255 bytes


def append_once(path: Path, row: dict[str, Any], key: str = "key") -> None:
    """Append a row to a file that several processes write, unless a row of its key is there."""
    with locked(path.parent, wait=60.0):
        if row[key] not in {known[key] for known in read_jsonl(path)}:
            append_jsonl(path, [row])


def add_event(path: Path, **event: Any) -> None:
    """A line of events.jsonl: when, by which process, and what happened."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    append_jsonl(path / EVENTS, [{"time": now, "pid": os.getpid(), **event}])


def claim(path: Path, identity: dict[str, Any]) -> None:
    """Make a directory the one of this identity; BadInput where it is somebody else's."""
    stored, own = path / CONFIG, digest(identity)
    try:
        known = read_json(stored) if stored.exists() else None
    except Damaged:
        known = None
    if known is not None:
        _refuse_other(path, known, identity)
    elif not _is_of(path, own) and path.exists() and any(not _ours(file) for file in path.iterdir()):
        raise BadInput(
            f"the directory holds other files and no {CONFIG} that says whose they are.",
            where=str(path),
            next="Choose another output_dir, or delete the directory to start again.",
        )
    if known is None:
        write_json(stored, identity)  # JSON is YAML
    if not _is_of(path, own):
        write_text(path / IDENTITY, own + "\n")


class RunDir:
    """One run on disk. `identity` lists everything that can change a number of this run."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path, self.identity = path, identity
        if is_writer():
            claim(path, identity)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def digest(self) -> str:
        return digest(self.identity)

    @property
    def finished(self) -> bool:
        return intact(self / SUMMARY) is not None

    def broken(self) -> list[str]:
        """Of a finished run the files that are not as its summary says, or the summary itself."""
        if not (self / SUMMARY).exists():
            return []
        summary = intact(self / SUMMARY)
        return [SUMMARY] if summary is None else broken_seals(self.path, summary.get("files"))

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
        write_json(self / SUMMARY, told)


def _ours(file: Path) -> bool:
    """Whether a file says nothing of a run: a lock, events, what is left of a directory that was deleted."""
    left = file.name.startswith(LOCK) or is_temporary(file) or re.fullmatch(r"checkpoint-\d+", file.name)
    return file.name in (EVENTS, IDENTITY) or bool(left)


def _is_of(path: Path, own: str) -> bool:
    try:
        return (path / IDENTITY).read_text(encoding="utf-8").strip() == own
    except (OSError, ValueError):
        return False


def _refuse_other(path: Path, stored: dict[str, Any], identity: dict[str, Any]) -> None:
    wanted = json.loads(canonical(identity))
    if stored == wanted:
        return
    differing = ", ".join(name[:60] for name in sorted(_differences(stored, wanted))[:4])
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
    return sorted(file.parent for file in root.rglob(SUMMARY))


def slug(name: str) -> str:
    """A directory name for a role or method: letters, digits, dot, dash and underscore.

    No name of ours (`base`, `cache`, `study.json`), and no longer than file systems take; a long one ends in
    a hash of itself.
    """
    cleaned = re.sub(r"[^\w.-]+", "_", name).strip("._") or "role"
    if len(cleaned.encode()) > LONGEST:
        cut = cleaned.encode()[: LONGEST - 17].decode(errors="ignore")
        cleaned = f"{cut}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    taken = cleaned.lower() in OWN or cleaned.lower().endswith((".json", ".jsonl", ".yaml", ".html", ".tmp"))
    return f"{cleaned}_" if taken else cleaned
