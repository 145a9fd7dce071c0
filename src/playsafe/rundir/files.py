"""Files of ours: atomic, each row and each object with a check, never written through a link.

The check is the CRC-32 of what stands before it. A line whose check does not hold was torn by a kill or
changed since; it is read as if it were not there, so that whoever wrote it makes it again. JSON objects that
do not hold are `Damaged`. Rows and objects without a check (of older runs, of other tools) are taken as they
are. Where several processes train one run (`accelerate launch`), the first one writes and the others read.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playsafe.errors import BadInput, SystemFault, in_words
from playsafe.secrets import redacted

CHECK = "check"
_CHECKED = re.compile(r',(?:\n )? "check": "([0-9a-f]{8})"(\n?)\}\Z')
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")
_watched: dict[Path, os.stat_result] = {}


class Damaged(BadInput):
    """A file of ours that was cut or changed."""


def ranks() -> tuple[int, int]:
    """This process's rank and the number of processes, as the launcher says (0 of 1 without one)."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def is_writer() -> bool:
    return ranks()[0] == 0


@contextmanager
def watched(directory: Path) -> Iterator[None]:
    """Writes below a directory are refused from the moment on that it was deleted or replaced: what is
    written into a new one of its name would belong to nothing."""
    directory = directory.absolute()
    if not directory.is_dir():  # nobody works in it yet
        yield
        return
    before = _watched.get(directory)
    _watched[directory] = directory.stat()
    try:
        yield
    finally:
        del _watched[directory]
        if before is not None:
            _watched[directory] = before


def refuse_vanished(path: Path) -> None:
    """SystemFault where a watched directory above `path` is not there any more."""
    path = path.absolute()
    for directory, known in _watched.items():
        if path.is_relative_to(directory):
            try:
                there = os.path.samestat(directory.stat(), known)
            except OSError:
                there = False
            if not there:
                raise SystemFault(
                    "the directory was deleted or replaced while it was worked in.",
                    where=str(directory),
                    next="Repeat the command to begin it anew.",
                )


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new one, never a part."""
    with replacing(path) as temporary:
        if temporary is not None:
            with temporary.open("w", encoding="utf-8") as handle:
                handle.write(_plain(text))
                handle.flush()
                os.fsync(handle.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path | None]:
    """A temporary file beside `path` that takes its place at the end, and leaves nothing where there was an
    error; None where this process does not write."""
    if not is_writer():
        yield None
        return
    refuse_vanished(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def is_temporary(path: Path) -> bool:
    """Whether a kill in `replacing` left this file."""
    return _TEMPORARY.fullmatch(path.name) is not None


def sweep(directory: Path) -> None:
    """Remove what kills left here and one folder below; for whoever alone works in a directory."""
    for pattern in (".*.tmp", "*/.*.tmp"):
        for left in filter(is_temporary, directory.glob(pattern)):
            left.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    write_text(path, _checked(_plain(json.dumps(value, indent=2, ensure_ascii=False, default=str))) + "\n")


def read_json(path: Path) -> Any:
    """Content of a JSON file without its check; BadInput where there is none, Damaged where it is broken."""
    if not path.is_file():  # a pipe would be read for ever
        what = "the path is no file." if path.exists() else "the file does not exist."
        raise (Damaged if path.exists() else BadInput)(what, where=str(path))
    try:
        return json.loads(_unchecked(path.read_text(encoding="utf-8").strip()))
    except json.JSONDecodeError as error:
        raise Damaged(f"broken JSON: {error.msg}.", where=f"{path}:{error.lineno}") from None
    except (ValueError, RecursionError) as error:
        raise Damaged(f"broken JSON: {in_words(error)}.", where=str(path)) from None


def read_object(path: Path) -> dict[str, Any]:
    """An object of ours. BadInput as of `read_json`, Damaged where the file holds something else."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise Damaged("the file holds no object.", where=str(path))
    return found


def intact(path: Path) -> dict[str, Any] | None:
    """An object of ours; None where the file is missing or damaged."""
    try:
        return read_object(path)
    except BadInput:
        return None


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Whole lines of a JSONL file that hold objects (none when it does not exist)."""
    if not path.is_file():
        return []
    content = path.read_bytes()
    found = []
    for line in content[: content.rfind(b"\n") + 1].split(b"\n"):
        with contextlib.suppress(ValueError, RecursionError):  # torn by a kill, or changed since
            row = json.loads(_unchecked(line.decode()))
            if isinstance(row, dict):
                found.append(row)
    return found


def append_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Append rows in one write and force them to disk; what a kill tore off is cut first, and a write that
    fails leaves the file as it was."""
    data = "".join(map(_line, rows)).encode()
    if not is_writer():
        return
    refuse_vanished(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SystemFault(
                "the file is a link, through which nothing is written.", where=str(path)
            ) from None
        raise
    with open(handle, "rb+", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise SystemFault("the path is no file.", where=str(path))
        size = _whole(file)
        try:
            written = memoryview(data)
            while written:
                written = written[file.write(written) :]
            os.fsync(handle)
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, size)
            raise


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Replace a JSONL file as a whole."""
    write_text(path, "".join(map(_line, rows)))


def _whole(file: Any) -> int:
    """The size of a file of lines, from which a torn last one was cut."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return 0
    file.seek(size - 1)
    if file.read(1) == b"\n":
        return int(size)
    file.seek(0)
    end = file.read().rfind(b"\n") + 1
    file.truncate(end)
    return int(end)


def _line(row: dict[str, Any]) -> str:
    return _checked(_plain(json.dumps(row, ensure_ascii=False))) + "\n"


def _plain(text: str) -> str:
    """`text` without keys of servers; halves of surrogate pairs, which no file can hold, as \\ud800."""
    return redacted(text).encode("utf-8", "backslashreplace").decode()


def _checked(text: str) -> str:
    """A JSON object with the check of itself as its last member."""
    if not text.startswith("{") or text == "{}":
        return text
    end = "\n}" if text.endswith("\n}") else "}"
    start = ",\n  " if end == "\n}" else ", "
    return f'{text[: -len(end)]}{start}"{CHECK}": "{zlib.crc32(text.encode()):08x}"{end}'


def _unchecked(text: str) -> str:
    """The object without its check; ValueError where that does not hold."""
    found = _CHECKED.search(text)
    if found is None:
        return text
    plain = f"{text[: found.start()]}{found[2]}}}"
    if zlib.crc32(plain.encode()) != int(found[1], 16):
        raise ValueError("its check does not hold")
    return plain
