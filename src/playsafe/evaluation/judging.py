"""Judging: completions → verdicts, by every judge of the study side by side.

    verdicts/<key>.<judge>.jsonl

Verdicts rest on completions and can be made again without generating; errors are asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from playsafe import judges
from playsafe.config import EvaluationConfig
from playsafe.judges import Item
from playsafe.probes import ProbeSet
from playsafe.progress import Reporter
from playsafe.records import Completion, Outcome, Prompt, Verdict
from playsafe.rundir import RunDir, append_jsonl, read_jsonl, write_jsonl

UNJUDGED = ("references", "task", "pairs")  # their references say what a good answer is
TOGETHER = 64  # replies judged between two writes


class Judges:
    """The judges of a study; each is opened when it is first asked. folder: where they keep answers that cost
    money."""

    def __init__(self, config: EvaluationConfig, folder: Path) -> None:
        self._judges = {judge.key: judges.get(judge.name) for judge in config.judges}
        self._options = {judge.key: judge.parsed() for judge in config.judges}
        self.names = list(self._judges)
        self.identities = {}  # in the order of the study: the first one is the main judge
        for judge in config.judges:
            code = judges.REGISTRY.code(judge.name)
            own = self._judges[judge.key].identity(self._options[judge.key])
            self.identities[judge.key] = own | ({"code": code} if code else {})
        self._open = cache(lambda key: self._judges[key].open(self._options[key], folder / f"{key}.jsonl"))

    def of(self, probe: ProbeSet) -> list[str]:
        """Who judges the replies of a suite."""
        return [] if probe.kind in UNJUDGED else self.names

    def outcomes(self, key: str) -> frozenset[Outcome]:
        return self._judges[key].outcomes(self._options[key])

    def decide(self, key: str, items: Sequence[Item]) -> list[Verdict]:
        return judges.verdicts(self._open(key), items, self._judges[key].languages(self._options[key]))

    def files(self, probes: Sequence[ProbeSet], rests_on: dict[str, Any]) -> dict[str, Any]:
        """The files of this stage. rests_on: what the completions of each suite rest on."""
        return {
            f"verdicts/{probe.key}.{key}.jsonl": [
                rests_on[f"completions/{probe.key}.jsonl"],
                [probe.kind, probe.language],
                self.identities[key],
            ]
            for probe in probes
            for key in self.of(probe)
        }

    def read(self, run: RunDir, probe: ProbeSet, prompts: Sequence[Prompt]) -> dict[str, list[Verdict]]:
        """The verdicts on a suite, by judge, in the order of the prompts."""
        found = {}
        for key in self.of(probe):
            rows = read_jsonl(run / "verdicts" / f"{probe.key}.{key}.jsonl")
            by_id = {row["id"]: Verdict(**row) for row in rows}
            found[key] = [by_id[p.id] for p in prompts]
        return found

    def judge(
        self,
        run: RunDir,
        probe: ProbeSet,
        key: str,
        prompts: Sequence[Prompt],
        replies: Sequence[Completion],
        reporter: Reporter,
    ) -> list[Verdict]:
        """Verdicts of one judge, those that are there already kept, errors asked again."""
        path = run / "verdicts" / f"{probe.key}.{key}.jsonl"
        stored = [Verdict(**row) for row in read_jsonl(path)]
        known = {verdict.id: verdict for verdict in stored if verdict.state != "error"}
        every = items(probe, prompts, replies)
        missing = [item for item in every if item.id not in known]
        if missing:
            with reporter.task(f"judge {probe.key} by {key}", len(missing)) as advance:
                for start in range(0, len(missing), TOGETHER):
                    group = missing[start : start + TOGETHER]
                    made = self.decide(key, group)
                    append_jsonl(path, map(asdict, made))
                    stored += made
                    known |= {verdict.id: verdict for verdict in made}
                    advance(len(group))
        verdicts = [known[item.id] for item in every]
        if len(stored) > len(verdicts):  # errors that are mended, prompts that are no longer asked
            write_jsonl(path, map(asdict, verdicts))
        return verdicts


def items(probe: ProbeSet, prompts: Sequence[Prompt], replies: Sequence[Completion]) -> list[Item]:
    """Replies as judges read them."""
    return [
        Item(
            p.id,
            probe.kind,
            p.plain,
            c.said,
            (c.error or "no reply") if c.finish == "error" else "",
            probe.language,
            "the server's content filter took it away" if c.finish == "filtered" else "",
            c.unfinished,
        )
        for p, c in zip(prompts, replies, strict=True)
    ]
