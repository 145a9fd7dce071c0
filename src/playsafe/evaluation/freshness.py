"""What the files of an evaluation rest on, so that nothing is asked twice and nothing stale is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from playsafe.rundir import RunDir, broken_seals, digest, intact, seals, write_json

Stage = Literal["answer", "judge", "measure"]
ORDER: tuple[Stage, ...] = ("answer", "judge", "measure")


class Ledger:
    """evaluation.json of a run: file → hash of what it rests on, and with what each stage was finished.

    A file that rests on something else, or is not as its stage left it, is removed when the stage begins; one
    that a shorter list of suites or judges leaves out stays for the day it is wanted again. A stage that
    begins makes those after it begin.
    """

    def __init__(self, run: RunDir) -> None:
        self.run, self.path, self.copy = run, run / "evaluation.json", run / ".evaluation.json"
        # twice: a ledger that was lost would have replies asked for again that cost money
        stored = intact(self.path) or intact(self.copy) or {}
        self.files: dict[str, str] = stored.get("files", {})
        self.seals: dict[str, list[Any]] = stored.get("seals", {})
        self.stages: dict[str, str] = stored.get("stages", {})
        self.lost: list[str] = []  # files that a stage which begins found changed
        self.about: dict[str, Any] = stored.get("about", {})

    def begins(self, stage: Stage, files: Mapping[str, Any], rest: Any = None) -> bool:
        """Whether the stage has anything to do. files: each with what it rests on; rest: what else does."""
        wanted = {name: digest(basis) for name, basis in files.items()}
        self._wanted, self._files = digest([wanted, rest]), [*wanted]
        sealed = {name: seal for name, seal in self.seals.items() if name in wanted}
        self.lost = broken_seals(self.run.path, sealed)
        if self.stages.get(stage) == self._wanted and not self.lost:
            return False
        for later in ORDER[ORDER.index(stage) :]:
            self.stages.pop(later, None)
        gone = [*self.lost, *(name for name, how in wanted.items() if self.files.get(name) != how)]
        self.seals = {name: seal for name, seal in self.seals.items() if name not in wanted}
        self.files |= wanted
        self._save()
        self.run.drop("summary.json", *gone)
        return True

    def finish(self, stage: Stage) -> None:
        """The stage that began last is complete; one with errors never is, so that it is tried again."""
        self.stages[stage] = self._wanted
        self.seals |= seals(self.run.path, self._files)
        self._save()

    def note(self, **about: Any) -> None:
        """What later stages and people want to know of this evaluation."""
        self.about |= about
        self._save()

    def _save(self) -> None:
        kept = {"about": self.about, "files": self.files, "seals": self.seals, "stages": self.stages}
        write_json(self.path, kept)
        write_json(self.copy, kept)
