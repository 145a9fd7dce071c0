"""What studies and audits evaluate with: the aligned model, the role's rows, the suites and the judges.

<output_dir>/base/           the aligned model without a role prompt: one for all roles
<output_dir>/<role>/base/    the aligned model on the role's references and under its role prompt
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from playsafe import sources
from playsafe.config import StudyConfig
from playsafe.data.chat import ChatRenderer
from playsafe.errors import BadInput
from playsafe.evaluate import Evaluator
from playsafe.gap import GapProbe
from playsafe.models.loading import Aligned, load_aligned
from playsafe.probes import ProbeSet
from playsafe.progress import Reporter
from playsafe.provenance import environment
from playsafe.records import Role
from playsafe.rundir import RunDir, slug, write_json
from playsafe.sources import PromptSet, RoleData, system_text
from playsafe.targets import InProcess, Target

SCHEMA = 2  # raised when a change of ours alters numbers; old run directories are then refused


def place(role: Role | None) -> str:
    """The directory of a role's runs, or of those without a role."""
    return slug(role.name) if role is not None else "no_role"


class Bench:
    """The resident aligned model with everything that is asked of it and of its rivals."""

    def __init__(self, config: StudyConfig, roles: Sequence[Role], reporter: Reporter) -> None:
        self.config, self.root = config, Path(config.output_dir)
        self.evaluator = Evaluator(config, roles, reporter)
        self._aligned: Aligned | None = None
        self._data: dict[str, RoleData] = {}

    @property
    def aligned(self) -> Aligned:
        if self._aligned is None:
            self._aligned = load_aligned(self.config.model)
        return self._aligned

    def forget(self) -> None:
        """The resident model was trained in place: the next user loads the original again."""
        self._aligned = None

    @cached_property
    def model_identity(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "weights": self.aligned.weights_hash,
            "template": self.aligned.renderer.template_hash,
            "dtype": str(self.aligned.model.dtype),
        }

    def data(self, role: Role) -> RoleData:
        if role.name not in self._data:
            self._data[role.name] = sources.role_data(self.config.data, role)
        return self._data[role.name]

    def references(self, role: Role) -> PromptSet:
        return sources.references(self.data(role))

    def open(self, path: Path, identity: dict[str, Any]) -> RunDir:
        """A run directory with its provenance."""
        run = RunDir(path, identity)
        if not (run / "provenance.json").exists():
            write_json(run / "provenance.json", environment())
        return run

    def base(self, role: Role | None, references: PromptSet | None) -> None:
        """Evaluate the untouched model: on the suites (role None), or as a role and on its references."""
        turns = self.config.evaluation.system
        plain = [turn for turn in turns if (turn == "role") == (role is not None)]
        probes = self.evaluator.common(plain)
        if role is not None:
            probes += self.evaluator.own(role, references)
        if not probes:
            return
        about = None if role is None else [role.name, role.prompt, references.hash if references else None]
        path = self.root / slug(role.name) / "base" if role else self.root / "base"
        run = self.open(path, {**self.model_identity, "kind": "base", "role": about})
        label = f"base · {role.name}" if role else "base"
        self.finish(run, label, probes, lambda: self.in_process(self.aligned.model), role, method="base")

    def gap_probe(self, role: Role | None) -> GapProbe:
        """Measures the reward gap of the pairs suites, as they are asked of a role, while a model is trained.
        BadInput where the study has none."""
        probes = [probe for probe in self.evaluator.common() if probe.kind == "pairs"]
        if not probes:
            raise BadInput(
                "the reward gap is measured on suites of the kind pairs, and the study has none.",
                where="training.gap_steps",
                next='For example {name: gap-de, path: "tiny:pairs:de"} under evaluation.suites.',
            )
        many = self.config.training.gap_pairs
        return GapProbe(
            self.aligned.renderer,
            {probe.key: (probe.prompts[:many], system_text(probe.system, role)) for probe in probes},
        )

    def in_process(self, model: Any, renderer: ChatRenderer | None = None) -> InProcess:
        """A model that speaks through its own renderer, or the aligned model's."""
        return InProcess(model, renderer or self.aligned.renderer, self.config.evaluation.generation)

    def finish(
        self,
        run: RunDir,
        label: str,
        probes: Sequence[ProbeSet],
        target: Any,
        role: Role | None,
        *,
        method: str,
        seed: int | None = None,
        voice: bool = True,
        basis: Any = None,
        **more: Any,
    ) -> None:
        """Evaluate one run and write its summary.json; nothing happens where nothing is left to do.

        target: makes the `Target`; it is called only when there is something to ask. basis: as in
        `Evaluator.stale`, the study's decoding when None. more: for the summary.
        """
        if not self.evaluator.stale(run, probes, basis or self.config.evaluation.generation.model_dump()):
            return
        made: Target = target()
        found = self.evaluator.evaluate(
            run, label, probes, made, role, (lambda: self.aligned) if voice else None
        )
        run.finish(
            {
                "kind": "base" if method == "base" else "run",
                "role": role.name if role else None,
                "tags": role.tags if role else (),
                "method": method,
                "seed": seed,
                "model": self.config.model.name_or_path,
                "version": environment()["versions"]["playsafe"],
                **found,
                **more,
            }
        )
