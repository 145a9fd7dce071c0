"""Evaluating one run in three stages, each with files of its own, each resumable: answer, judge, measure.

asking.py, judging.py and measuring.py do the work, freshness.py knows what is left to do, stopping.py when
enough was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playsafe import metrics, sources
from playsafe.config import StudyConfig, SystemTurn
from playsafe.evaluation import asking, measuring
from playsafe.evaluation.freshness import Ledger, Stage
from playsafe.evaluation.judging import Judges, items
from playsafe.evaluation.measuring import Voices
from playsafe.evaluation.stopping import Stopping
from playsafe.probes import ProbeSet, check_aims, expand
from playsafe.progress import Reporter
from playsafe.records import Completion, Estimate, Prompt, Role
from playsafe.rundir import RunDir, write_jsonl
from playsafe.sources import PromptSet

if TYPE_CHECKING:
    from playsafe.models.loading import Aligned
    from playsafe.targets import Target

Begin = Callable[[], None]  # told when a stage has something to do


class Evaluator:
    """The questions of a study, its judges and its gates; suites are read and judges opened once."""

    def __init__(self, config: StudyConfig, roles: Sequence[Role], reporter: Reporter) -> None:
        self.config, self.reporter = config.evaluation, reporter
        self.judges = Judges(self.config, Path(config.output_dir) / "cache")
        self.voices = Voices(self.config.voice, roles)
        self.stopping = Stopping(self.config, self._so_far)
        self.suites = [sources.suite(suite, self.config) for suite in self.config.suites]
        metrics.check(self.config.show)
        check_aims(self.config)
        self.common()  # refuses an attack whose files cannot be read

    def common(self, systems: Collection[SystemTurn] | None = None) -> list[ProbeSet]:
        """The suites that every role is asked alike, under these of the configured system turns."""
        common = [suite for suite in self.suites if suite.kind != "references"]
        return expand(self.config, common, systems=systems)

    def own(self, role: Role, references: PromptSet | None) -> list[ProbeSet]:
        """What one role alone is asked: its held-out rows, and its rows in suites with references."""
        sets = [sources.of_role(suite, role) for suite in self.suites if suite.kind == "references"]
        if references is not None and (references.prompts or not sets):
            sets.append(references)
        return expand(self.config, sets)

    def answer(
        self,
        run: RunDir,
        label: str,
        probes: Sequence[ProbeSet],
        target: Callable[[], Target],
        role: Role | None,
        basis: Any,
        begin: Begin,
    ) -> None:
        """Ask everything. basis: what the replies rest on besides the prompts and the run's identity."""
        ledger = Ledger(run)
        if not self._begins(ledger, "answer", label, asking.files(probes, basis), self._until):
            return
        begin()
        run.status("answering")
        made = target()
        try:
            asked, failed = asking.ask(run, label, probes, made, role, self.stopping, self.reporter)
        finally:
            made.close()
        ledger.note(asked=asked, judges=self.judges.identities)
        if not failed:
            ledger.finish("answer")

    def judge(self, run: RunDir, label: str, probes: Sequence[ProbeSet], basis: Any, begin: Begin) -> None:
        """Every judge's verdict on every reply."""
        ledger, rests_on = Ledger(run), asking.files(probes, basis)
        judged = self.judges.files(probes, rests_on)
        if not self._begins(ledger, "judge", label, judged, [rests_on, self._until]):
            return
        begin()
        run.status("judging")
        errors = 0
        for probe in probes:
            prompts, replies = self._answered(run, ledger, probe)
            for key in self.judges.of(probe):
                verdicts = self.judges.judge(run, probe, key, prompts, replies, self.reporter)
                errors += sum(v.state == "error" for v in verdicts)
        ledger.note(judges=self.judges.identities)
        if not errors:
            ledger.finish("judge")

    def measure(
        self,
        run: RunDir,
        label: str,
        probes: Sequence[ProbeSet],
        role: Role | None,
        frozen: Callable[[], Aligned] | None,
        basis: Any,
        about: dict[str, Any],
        begin: Begin,
    ) -> None:
        """Estimates of everything, and summary.json. frozen: gives the aligned model for the voice; None
        leaves voice out. about: what the summary says of the run."""
        ledger, rests_on = Ledger(run), asking.files(probes, basis)
        spoken = self.voices.files(probes, rests_on) if role is not None and frozen is not None else {}
        asked = {probe.key: probe.to_json() for probe in probes}
        read = [[name, metrics.REGISTRY.code(name)] for name in metrics.names()]
        rest = [rests_on, asked, self._until, [*self.judges.identities.items()], read, about]
        made = spoken | {f"values/{probe.key}.jsonl": rest for probe in probes}
        if not self._begins(ledger, "measure", label, made, rest) and run.finished:
            return
        begin()
        run.status("measuring")
        found: list[Estimate] = []
        suites: dict[str, Any] = {}
        errors = 0
        for probe in probes:
            prompts, replies = self._answered(run, ledger, probe)
            verdicts = self.judges.read(run, probe, prompts)
            errors += sum(c.finish == "error" for c in replies)
            errors += sum(v.state == "error" for given in verdicts.values() for v in given)
            voices = self.voices.of(run, probe, prompts, replies, role, frozen)
            likely = asking.likelihoods(run, probe.key) if probe.kind in asking.SCORED else {}
            name = role.name if role else ""
            looks = self.stopping.looks(probe)
            values = measuring.values(probe, prompts, replies, self.judges, verdicts, voices, likely, name)
            write_jsonl(run / "values" / f"{probe.key}.jsonl", metrics.lines(prompts, values))
            found += metrics.estimates(probe.key, prompts, values, looks)
            stopped = {"looks": looks, "stopped": len(prompts) < len(probe.prompts)} if looks > 1 else {}
            suites[probe.key] = probe.to_json() | {"asked": len(replies)} | stopped
        numbers = {"estimates": [e.to_json() for e in found], "suites": suites, "errors": errors}
        made_of = [*rests_on, *self.judges.files(probes, rests_on), *made]
        run.finish(about | numbers | {"decoding": self._decoding}, made_of)
        if not errors:
            ledger.finish("measure")

    def _begins(self, ledger: Ledger, stage: Stage, label: str, files: Mapping[str, Any], rest: Any) -> bool:
        """Whether a stage has work; says which of its finished files have changed since."""
        begins = ledger.begins(stage, files, rest)
        if ledger.lost:
            self.reporter.note(
                f"{label}: changed since they were finished, and made again: {', '.join(ledger.lost)}"
            )
        return begins

    @property
    def _decoding(self) -> dict[str, Any]:
        """What of it can change a reply that is generated."""
        seed = {"seed"} if self.config.generation.sampling == "model" else set()
        return self.config.generation.model_dump(include={"sampling", "max_new_tokens"} | seed)

    @property
    def _until(self) -> list[str]:
        """What decides how many prompts are asked."""
        return self.config.gates if self.config.stop_early else []

    def _answered(
        self, run: RunDir, ledger: Ledger, probe: ProbeSet
    ) -> tuple[list[Prompt], list[Completion]]:
        """The prompts that were asked, with their replies; pairs have theirs already."""
        prompts = self.stopping.asked(probe, ledger.about["asked"][probe.key])
        if probe.kind == "pairs":
            return prompts, []
        found = asking.completions(run, probe.key)
        return prompts, [found[p.id] for p in prompts]

    def _so_far(
        self, probe: ProbeSet, prompts: Sequence[Prompt], replies: Sequence[Completion]
    ) -> list[Estimate]:
        """Estimates of what was asked so far; nothing is written."""
        every = items(probe, prompts, replies)
        verdicts = {key: self.judges.decide(key, every) for key in self.judges.of(probe)}
        values = measuring.values(probe, prompts, replies, self.judges, verdicts)
        return metrics.estimates(probe.key, prompts, values, self.stopping.looks(probe))
