"""The only writer of run files: files.py writes and reads them, hashes.py names and seals what they hold,
locks.py lets one process work in a directory, run.py knows whose it is and when it is finished."""

from playsafe.rundir.files import (
    Damaged,
    append_jsonl,
    intact,
    is_writer,
    ranks,
    read_json,
    read_jsonl,
    read_object,
    refuse_vanished,
    replacing,
    watched,
    write_json,
    write_jsonl,
    write_text,
)
from playsafe.rundir.hashes import broken_seals, canonical, digest, inside, seals
from playsafe.rundir.locks import EVENTS, locked
from playsafe.rundir.run import RunDir, add_event, append_once, claim, find_runs, slug

__all__ = [
    "EVENTS",
    "Damaged",
    "RunDir",
    "add_event",
    "append_jsonl",
    "append_once",
    "broken_seals",
    "canonical",
    "claim",
    "digest",
    "find_runs",
    "inside",
    "intact",
    "is_writer",
    "locked",
    "ranks",
    "read_json",
    "read_jsonl",
    "read_object",
    "refuse_vanished",
    "replacing",
    "seals",
    "slug",
    "watched",
    "write_json",
    "write_jsonl",
    "write_text",
]
