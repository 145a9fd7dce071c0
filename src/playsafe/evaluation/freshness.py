"""What the files of an evaluation rest on, so that nothing is asked twice and nothing stale is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from playsafe.rundir import RunDir, digest, read_json, write_json

Stage = Literal["answer", "judge", "measure"]
ORDER: tuple[Stage, ...] = ("answer", "judge", "measure")


class Ledger:
    """evaluation.json of a run: file → hash of what it rests on, and with what each stage was finished.

    A file that rests on something else is removed when its stage begins; one that a shorter list of suites or
    judges leaves out stays for the day it is wanted again. A stage that begins makes those after it begin;
    one whose files are not as it left them begins again.
    """

    def __init__(self, run: RunDir) -> None:
        self.run, self.path = run, run / "evaluation.json"
        stored = read_json(self.path) if self.path.exists() else {}
        self.files: dict[str, str] = stored.get("files", {})
        self.stages: dict[str, dict[str, Any]] = stored.get("stages", {})
        self.about: dict[str, Any] = stored.get("about", {})

    def begins(self, stage: Stage, files: Mapping[str, Any], rest: Any = None) -> bool:
        """Whether the stage has anything to do. files: each with what it rests on; rest: what else does."""
        wanted = {name: digest(basis) for name, basis in files.items()}
        self._wanted, self._files = digest([wanted, rest]), [*wanted]
        done = self.stages.get(stage, {})
        if done.get("wanted") == self._wanted and done["sizes"] == self._sizes(done["sizes"]):
            return False
        for later in ORDER[ORDER.index(stage) :]:
            self.stages.pop(later, None)
        self.run.drop("summary.json", *(name for name, how in wanted.items() if self.files.get(name) != how))
        self.files |= wanted
        self._save()
        return True

    def finish(self, stage: Stage) -> None:
        """The stage that began last is complete; one with errors never is, so that it is tried again."""
        self.stages[stage] = {"wanted": self._wanted, "sizes": self._sizes(self._files)}
        self._save()

    def note(self, **about: Any) -> None:
        """What later stages and people want to know of this evaluation."""
        self.about |= about
        self._save()

    def _sizes(self, files: Iterable[str]) -> dict[str, int]:
        """Bytes of the files that are there: a lost line shows."""
        places = {name: self.run / name for name in files}
        return {name: place.stat().st_size for name, place in places.items() if place.exists()}

    def _save(self) -> None:
        write_json(self.path, {"about": self.about, "files": self.files, "stages": self.stages})
