"""What a study evaluates: arms, and for each of them the cells of the grid, with the place of each on disk.

base/  <role>/base/             the aligned model on the suites; as a role and on its references
<role>/<arm>/seed-<n>/          an arm that is trained here, or made from one; no_role/ without a role
<role>/<target>/                somebody who was not trained here
"""

from __future__ import annotations

from dataclasses import dataclass

from playsafe import sources
from playsafe.config import DecodeConfig, EditConfig, MethodConfig, StudyConfig, TargetConfig
from playsafe.data.roles import find_role
from playsafe.records import Role
from playsafe.rundir import slug

BASE = "base"
DONE = "training.json"  # the last file that a job which makes weights writes


@dataclass(frozen=True, slots=True)
class Arm:
    """method: trained here. source: the arm that an edit or a way of decoding starts from. target: somebody
    else. None of them: the aligned model."""

    key: str
    method: MethodConfig | None = None
    source: str | None = None
    edit: EditConfig | None = None
    decode: DecodeConfig | None = None
    target: TargetConfig | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """An arm as a role (its name; None: without one) with a training seed (None where nothing is trained)."""

    arm: Arm
    role: str | None
    seed: int | None

    @property
    def place(self) -> str:
        """Directory of its run, below the study's."""
        if self.arm.key == BASE and self.arm.target is None and self.role is None:
            return BASE
        who = slug(self.role) if self.role is not None else "no_role"
        place = f"{who}/{BASE if self.arm.key == BASE else slug(self.arm.key)}"
        return place if self.seed is None else f"{place}/seed-{self.seed}"

    @property
    def label(self) -> str:
        seed = "" if self.seed is None else f"seed {self.seed}"
        return " · ".join(filter(None, [self.role, self.arm.key, seed]))


def arms_of(config: StudyConfig) -> dict[str, Arm]:
    """The arms of the grid by key, the aligned model first."""
    arms = [Arm(BASE), *(Arm(method.key, method) for method in config.methods)]
    for one in config.arms:
        method = one.train and one.train.model_copy(update={"label": one.name})
        arms.append(Arm(one.name, method, one.source, one.edit, one.decode))
    return {arm.key: arm for arm in arms}


def source_of(cell: Cell, arms: dict[str, Arm]) -> Cell | None:
    """The cell whose weights this one starts from; None for its own and for the aligned model's."""
    arm = arms[cell.arm.source] if cell.arm.source is not None else None
    return None if arm is None or arm.key == BASE else Cell(arm, cell.role, cell.seed)


def seeded(arm: Arm, arms: dict[str, Arm]) -> bool:
    """Whether training stands at the beginning of an arm, so that it has seeds."""
    while arm.source is not None:
        arm = arms[arm.source]
    return arm.method is not None


def scores_place(role: str, scorer: str) -> str:
    """Directory of a role's scores, below the study's."""
    return f"{slug(role)}/scores" if scorer == "rds" else f"{slug(role)}/scores-{slug(scorer)}"


def study_roles(config: StudyConfig) -> list[Role]:
    """The roles of a study; of one with targets those of its file, where a target plays one."""
    if config.roles is None or not (config.grid or any(t.role for t in config.targets)):
        return []
    found = sources.roles(config.roles)
    for target in config.targets:
        if target.role is not None:
            find_role(found, target.role)
    return found


def knows_model(config: StudyConfig) -> bool:
    """Whether the aligned model is meant: trained from, named, or what a target's adapter rests on."""
    rests_on_it = any(not (t.model or t.endpoint or t.completions) for t in config.targets)
    return config.grid or rests_on_it or "model" in config.model_fields_set


def knows_rows(config: StudyConfig) -> bool:
    """Whether roles have rows: the study trains or names them, or the embedded world knows the roles."""
    embedded = config.roles is not None and config.roles.path.startswith("tiny")
    named = config.grid or "data" in config.model_fields_set
    return named or (config.data.path == "tiny" and embedded)
