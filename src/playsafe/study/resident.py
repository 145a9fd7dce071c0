"""What stays in memory while a worker lives: the aligned model, rows, suites, judges."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playsafe import sources
from playsafe.config import StudyConfig
from playsafe.errors import BadInput
from playsafe.evaluation import Evaluator
from playsafe.progress import Reporter, Silent
from playsafe.provenance import environment
from playsafe.records import Role, Subset
from playsafe.rundir import RunDir, ranks, write_json
from playsafe.sources import PromptSet, system_text
from playsafe.streams import Material
from playsafe.study.arms import arms_of, knows_rows, study_roles

if TYPE_CHECKING:  # an audit of recorded replies needs no model library
    from playsafe.gap import GapProbe
    from playsafe.models.loading import Aligned

SCHEMA = 4  # raised when a change of ours alters numbers; old run directories are then refused


def nothing(ids: Sequence[str]) -> Subset:
    """The choice of whoever chooses no rows."""
    return Subset("none", 0.0, 0.0)


class Resident:
    """A study's resident aligned model with everything that is asked of it and of its rivals."""

    def __init__(self, config: StudyConfig, reporter: Reporter | None = None) -> None:
        self.config, self.reporter = config, reporter or Silent()
        self.root = Path(config.output_dir)
        self.arms = arms_of(config)
        self.roles = {role.name: role for role in study_roles(config)}
        self.evaluator = Evaluator(config, list(self.roles.values()), self.reporter)
        self._aligned: Aligned | None = None
        self._loaded = ""
        self._memory: dict[Hashable, Any] = {}

    def aligned(self) -> Aligned:
        from playsafe.models.integrity import fingerprint
        from playsafe.models.loading import load_aligned

        if self._aligned is None:
            self._aligned = load_aligned(self.config.model)
            self._loaded = fingerprint(self._aligned.model.state_dict().items())
        return self._aligned

    def forget(self) -> None:
        """The resident model may be another one now: the next user loads the original again."""
        self._aligned = None

    def prove(self) -> None:
        """The resident model is the one that was loaded, else the next user loads it anew: adapters leave
        traces (saved heads, biases), and some trainings begin by changing the base."""
        if self._aligned is None:
            return
        from playsafe.models.integrity import fingerprint

        if fingerprint(self._aligned.model.state_dict().items()) != self._loaded:
            self.forget()

    @cached_property
    def model_identity(self) -> dict[str, Any]:
        aligned = self.aligned()
        return {
            "schema": SCHEMA,
            "weights": aligned.weights_hash,
            "template": aligned.renderer.template_hash,
            "dtype": str(aligned.model.dtype),
            "device": aligned.device.type,
            "attention": aligned.model.config._attn_implementation,
        }

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Made at the first call and kept."""
        if key not in self._memory:
            self._memory[key] = make()
        return self._memory[key]

    def material(self, role: Role | None, select: Callable[[Sequence[str]], Subset] = nothing) -> Material:
        """What the streams make a role's rows of."""
        return Material(
            self.config,
            role,
            self.aligned,
            select,
            self.once,
            self.root / "cache",
            self.model_identity,
            self.reporter.note,
        )

    def open(self, place: str, identity: dict[str, Any]) -> RunDir:
        """A run directory with its provenance."""
        run = RunDir(self.root / place, identity)
        if not (run / "provenance.json").exists():
            write_json(run / "provenance.json", environment())
        return run

    def references(self, role: Role | None) -> PromptSet | None:
        """The role's held-out rows, where there are any."""
        if role is None or not knows_rows(self.config):
            return None
        from playsafe.streams.role import data

        return sources.references(data(self.material(role), role))

    def gap_probe(self, role: Role | None) -> GapProbe:
        """Measures the reward gap of the pairs suites, as they are asked of a role, while a model is trained.
        BadInput where the study has none."""
        from playsafe.gap import GapProbe

        probes = [probe for probe in self.evaluator.common() if probe.kind == "pairs"]
        if not probes:
            raise BadInput(
                "the reward gap is measured on suites of the kind pairs, and the study has none.",
                where="training.gap_steps",
                next='For example {name: gap-de, path: "tiny:pairs:de"} under evaluation.suites.',
            )
        many = self.config.training.gap_pairs
        return GapProbe(
            self.aligned().renderer,
            {probe.key: (probe.prompts[:many], system_text(probe.system, role)) for probe in probes},
        )


def alone(what: str) -> None:
    """Refuse to be one of several processes: only training may be launched with several."""
    if ranks()[1] > 1:
        raise BadInput(
            f"`{what}` is work for one process, and this one was started with several.",
            where="accelerate launch",
            next=f"Run `playsafe {what} STUDY.yaml` without the launcher; only `train` uses it.",
        )
