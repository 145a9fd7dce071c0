"""Measuring: completions and verdicts → voices → estimates.

voice/<key>.jsonl
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from playsafe import metrics
from playsafe.config import VoiceConfig
from playsafe.evaluation.judging import Judges
from playsafe.metrics import Answered
from playsafe.probes import ProbeSet
from playsafe.records import Completion, LogProb, Prompt, Role, Verdict, Voice
from playsafe.rundir import RunDir, read_jsonl, write_jsonl

if TYPE_CHECKING:
    from playsafe.models.loading import Aligned

SPOKEN = ("harmful", "dark", "references")  # kinds of suites whose replies are asked for the role's voice


class Voices:
    """How much replies sound like their role, where that is measured. frozen: gives the aligned model."""

    def __init__(self, config: VoiceConfig, roles: Sequence[Role]) -> None:
        self.config, self.roles = config, roles

    def files(self, probes: Sequence[ProbeSet], rests_on: Mapping[str, Any]) -> dict[str, Any]:
        """The files of this stage. rests_on: what the completions of each suite rest on."""
        how: list[Any] = [self.config.model_dump()]
        how += [[[role.name, role.prompt] for role in self.roles]] if self.config.attribution else []
        spoken = [probe.key for probe in probes if probe.kind in SPOKEN]
        return {f"voice/{key}.jsonl": [rests_on[f"completions/{key}.jsonl"], how] for key in spoken}

    def of(
        self,
        run: RunDir,
        probe: ProbeSet,
        prompts: Sequence[Prompt],
        replies: Sequence[Completion],
        role: Role | None,
        frozen: Callable[[], Aligned] | None,
    ) -> dict[str, Voice]:
        """By prompt id; nothing where it is not measured."""
        if frozen is None or role is None or probe.kind not in SPOKEN or not self.config.measure:
            return {}
        path = run / "voice" / f"{probe.key}.jsonl"
        known = {row["id"]: Voice.from_json(row) for row in read_jsonl(path)}
        if not {c.id for c in replies if c.text} <= known.keys():
            from playsafe.voice import voices  # loads torch, which recorded replies do not need

            aligned = frozen()
            exchanges = list(zip(prompts, replies, strict=True))
            many = self.config.attribution
            made = voices(
                aligned.model, aligned.renderer, role, exchanges, roles=self.roles, attribution=many
            )
            write_jsonl(path, map(asdict, made))
            known = {voice.id: voice for voice in made}
        return {c.id: known[c.id] for c in replies if c.id in known}


def values(
    probe: ProbeSet,
    prompts: Sequence[Prompt],
    replies: Sequence[Completion],
    judges: Judges,
    verdicts: Mapping[str, list[Verdict]],
    voices: Mapping[str, Voice] | None = None,
    likelihoods: Mapping[str, tuple[LogProb, ...]] | None = None,
    role: str = "",
) -> metrics.By:
    """Judge → metric → a value for each reply. verdicts: by judge."""
    answered = Answered(
        probe.key, probe.kind, prompts, replies, voices or {}, role, probe.language, likelihoods or {}
    )
    found = {metrics.UNJUDGED: metrics.measure(answered)}
    for key, given in verdicts.items():
        own = replace(answered, judge=key, outcomes=judges.outcomes(key), verdicts=given)
        found[key] = metrics.measure(own)
    return found
