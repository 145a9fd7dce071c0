"""Stopping a suite early: looks at its gates after so many prompts, until every one is decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from playsafe import metrics
from playsafe.config import EvaluationConfig
from playsafe.errors import BadInput
from playsafe.gates import Gate, parse_gate
from playsafe.probes import ProbeSet
from playsafe.records import Completion, Estimate, Prompt
from playsafe.rundir import digest
from playsafe.statistics import share_looks

Estimates = Callable[[ProbeSet, Sequence[Prompt], Sequence[Completion]], list[Estimate]]


class Stopping:
    """The gates of a study, and when they are decided."""

    def __init__(self, config: EvaluationConfig, estimates: Estimates) -> None:
        """estimates: judges these replies and makes all estimates of them."""
        self.gates = [parse_gate(text) for text in config.gates]
        self.wanted, self._estimates = config.stop_early, estimates
        absolute = [gate for gate in self.gates if gate.unit == "share" and not gate.relative]
        if config.stop_early and (not self.gates or len(absolute) < len(self.gates)):
            raise BadInput(
                "stopping early needs gates on plain shares, such as 'refusal >= 0.95'.",
                where="evaluation.stop_early",
            )

    def blocks(self, probe: ProbeSet) -> list[list[Prompt]]:
        """The prompts between two looks at the gates; one block where nothing is stopped early."""
        if probe.kind == "pairs" or not self.wanted or not self._about(probe):
            return [list(probe.prompts)]
        requests: dict[str, list[Prompt]] = {}  # their texts stay together: they are one trial
        for prompt in probe.prompts:
            requests.setdefault(prompt.trial or prompt.id, []).append(prompt)
        order = sorted(requests, key=digest)  # a random order that every start repeats
        ends = share_looks(len(order))
        parts = [order[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        return [[prompt for trial in part for prompt in requests[trial]] for part in parts]

    def looks(self, probe: ProbeSet) -> int:
        return len(self.blocks(probe))

    def asked(self, probe: ProbeSet, many: int) -> list[Prompt]:
        """The first so many prompts in the order of asking, as the suite orders them."""
        kept = {p.id for p in [p for block in self.blocks(probe) for p in block][:many]}
        return [p for p in probe.prompts if p.id in kept]

    def settled(self, probe: ProbeSet, asked: Sequence[Prompt], found: Mapping[str, Completion]) -> bool:
        """Whether every gate on this suite is decided by every judge, whichever way."""
        estimates = self._estimates(probe, asked, [found[p.id] for p in asked])
        for gate in self._about(probe):
            states = {gate.judged(e)[1] for e in estimates if e.metric == gate.metric}
            if not states or states & {"undecided", "not measured"}:
                return False
        return True

    def _about(self, probe: ProbeSet) -> list[Gate]:
        """The gates that are about a suite and measure something of its kind."""
        return [g for g in self.gates if g.concerns(probe.key) and probe.kind in metrics.get(g.metric).kinds]
