"""An option is used or refused: what has no effect, in which study, and what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import Field

from conftest import ROOT
from playsafe.config import StudyConfig, load_study
from playsafe.errors import BadInput
from playsafe.matters import Matters, Uses
from playsafe.settings import Section
from playsafe.study.uses import check_options, check_study, refuse_idle, uses_of

SFT, MPO = {"methods": ["sft"]}, {"methods": ["mpo"], "pairs": {"path": "tiny"}, "roles": None}
HARM = {"name": "harm", "path": "tiny:harmful"}
PAIRS = {"name": "gap", "path": "tiny:pairs:de"}
TARGET = {"targets": [{"name": "base"}]}


def study(*parts: dict[str, Any]) -> StudyConfig:
    """Sections of several dictionaries, merged key by key."""
    whole: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            both = isinstance(value, dict) and isinstance(whole.get(key), dict)
            whole[key] = whole[key] | value if both else value
    return StudyConfig.model_validate(whole)


def sarft(**options: Any) -> dict[str, Any]:
    return {"methods": [{"name": "sarft", "options": options}]}


def ev(**given: Any) -> dict[str, Any]:
    return {"evaluation": given}


def asked(suite: dict[str, Any] = HARM, **more: Any) -> dict[str, Any]:
    return ev(suites=[suite], **more)


CASES = [  # what is set; where it has no effect, where it has one; the key and what it needs
    ({"pairs": {"path": "tiny"}}, SFT, {"methods": ["mpo"]}, "pairs", "a method that takes pairs"),
    ({"scoring": {"threshold": 1.0}}, MPO, SFT, "scoring", "roles whose rows are scored"),
    ({"scoring": {"tokens_per_batch": 64}}, TARGET, {}, "scoring", "roles whose rows are scored"),
    (
        {},
        sarft(subset="none", threshold=1.0),
        sarft(subset="random", threshold=1.0),
        "methods.sarft.options.threshold",
        "a subset by score",
    ),
    (
        {},
        sarft(subset="none", **{"lambda": 2}),
        sarft(**{"lambda": 2}),
        "methods.sarft.options.lambda",
        "rows",
    ),
    *(
        (
            {},
            sarft(**idle, **{key: value}),
            sarft(**{key: value}),
            f"methods.sarft.options.{key}",
            "a KL term",
        )
        for key, value in (("direction", "reverse"), ("tokens", "all"), ("denominator", "all"))
        for idle in ({"lambda": 0}, {"subset": "none"})
    ),
    (
        MPO,
        {"methods": [{"name": "mpo", "label": "m", "options": {"retention": 0, "pooling": "mean"}}]},
        {"methods": [{"name": "mpo", "label": "m", "options": {"retention": 2, "pooling": "mean"}}]},
        "methods.m.options.pooling",
        "retention above 0",
    ),
    (
        {"evaluation": {"voice": {"attribution": 4}}},
        {"roles": {"names": ["Skarn"]}},
        {"roles": {"names": ["Skarn", "Oluna"]}},
        "evaluation.voice.attribution",
        "two roles and voice that is measured",
    ),
    (
        {},
        {"evaluation": {"voice": {"attribution": 4, "measure": False}}},
        {"evaluation": {"voice": {"attribution": 4}}},
        "evaluation.voice.attribution",
        "voice that is measured",
    ),
    ({"evaluation": {"voice": {"measure": False}}}, MPO, {}, "evaluation.voice", "roles"),
    ({"training": {"gap_pairs": 8}}, {}, {"training": {"gap_steps": 5}}, "training.gap_pairs", "gap_steps"),
    ({"training": {"learning_rate": 1e-3}}, TARGET, {}, "training", "targets are not trained"),
    ({"training": {"lora": {"r": 4}}}, TARGET, {}, "training", "targets are not trained"),
    ({"seeds": [1]}, TARGET, {}, "seeds", "targets are not trained"),
    ({"data": {"max_length": 64}}, TARGET, MPO, "data.max_length", "targets are not trained"),
    ({"roles": {"names": ["Skarn"]}}, TARGET, {}, "roles", "a target that plays a role"),
    (
        {
            "data": {"replies": "all"},
            "roles": {"names": ["Skarn"]},
            "evaluation": {"voice": {"measure": False}},
        },
        {"methods": ["mpo"], "pairs": {}, "roles": None},
        {"targets": [{"name": "x", "adapter": "x", "role": "Skarn"}]},
        "data.replies",
        "roles",
    ),
    ({"training": {"reference": "model"}}, SFT, sarft(), "training.reference", "needs a reference"),
    (
        {"training": {"reference": "bank"}},
        SFT,
        SFT | {"training": {"lora": {"init_lora_weights": "pissa"}}},  # a start that the default forbids
        "training.reference",
        "needs a reference",
    ),
    ({"training": {"reference": "model"}}, sarft(**{"lambda": 0}), {}, "training.reference", "a reference"),
    ({"data": {"limit": 5}}, MPO, {}, "data.limit", "roles"),
    ({"data": {"path": "mine.jsonl"}}, MPO, {}, "data.path", "roles"),
    ({"training": {"system": "empty"}}, MPO, {}, "training.system", "roles"),
    (
        {"training": {"warmup_steps": 5}},
        {"training": {"lr_scheduler_type": "constant"}},
        {"training": {"lr_scheduler_type": "cosine"}},
        "training.warmup_steps",
        "a schedule that warms up",
    ),
    (
        {},
        ev(generation={"seed": 1}),
        ev(generation={"seed": 1, "sampling": "model"}),
        "generation.seed",
        "`sampling",
    ),
    (
        ev(generation={"batch_size": 8}),
        MPO | asked(PAIRS),
        asked(),
        "evaluation.generation",
        "prompts that are answered",
    ),
    ({}, asked(HARM | {"seed": 1}), asked(HARM | {"seed": 1, "limit": 5}), "suites.harm.seed", "a limit"),
    (
        {},
        asked(PAIRS | {"limit": 5, "seed": 1}),
        asked(HARM | {"limit": 5, "seed": 1}),
        "evaluation.suites.gap.seed",
        "which pairs have not",
    ),
    (
        {},
        asked(PAIRS | {"column": "x"}),
        asked(HARM | {"column": "x"}),
        "suites.gap.column",
        "pairs have not",
    ),
    (
        {"evaluation": {"stop_early": True}},
        {},
        {"evaluation": {"gates": ["refusal >= 0.9"]}},
        "stop_early",
        "gates",
    ),
    (
        {"evaluation": {"data_dir": "d"}},
        {},
        asked({"name": "xstest"}),
        "evaluation.data_dir",
        "a known suite",
    ),
    (ev(hub=True), {}, asked({"name": "xstest"}), "evaluation.hub", "a known suite"),
    (
        {"evaluation": {"attacks": ["caesar"]}},
        asked({"name": "b", "path": "tiny:benign"}),
        asked(),
        "evaluation.attacks",
        "a harmful suite",
    ),
    (
        {},
        asked(attacks=[{"name": "caesar", "options": {"column": "text"}}]),
        asked(attacks=[{"name": "caesar", "options": {"column": "text", "demonstrations": "f.csv"}}]),
        "evaluation.attacks.caesar.options.column",
        "demonstrations",
    ),
    (
        {},
        asked(attacks=[{"name": "template", "options": {"path": "t.json", "seed": 1}}]),
        asked(attacks=[{"name": "template", "options": {"path": "t.json", "seed": 1, "choice": "one"}}]),
        "evaluation.attacks.template.options.seed",
        "choice 'one'",
    ),
    (
        {"evaluation": {"judges": ["rules"]}},
        asked(PAIRS),
        asked(),
        "evaluation.judges",
        "a suite that is judged",
    ),
    ({"data": {"held_out": 9}}, {}, {"data": {"references": None}}, "data.held_out", "references: null"),
    (
        {"data": {"path": "mine.jsonl", "seed": 3}},
        {"data": {"references": "held.jsonl"}},
        {},
        "data.seed",
        "references: null",
    ),
]


@pytest.mark.parametrize(
    ("given", "idle", "useful", "key", "needs"), CASES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_has_no_effect_is_refused(
    given: dict[str, Any], idle: dict[str, Any], useful: dict[str, Any], key: str, needs: str
) -> None:
    check_options(study(given, useful))
    with pytest.raises(BadInput, match=rf"{key} has no effect without .*{needs}.* Remove the key"):
        check_options(study(given, idle))


def test_null_and_false_say_nothing() -> None:
    check_options(
        study(SFT, {"pairs": None, "evaluation": {"stop_early": False, "hub": False, "data_dir": None}})
    )


def test_a_study_without_suites_evaluates_nothing_on_purpose() -> None:
    given = ev(suites=[], judges=["rules"], data_dir="d", attacks=["caesar"], generation={"batch_size": 8})
    check_options(study(MPO, given))


def test_targets_from_the_command_line_leave_a_study_a_training(tmp_path: Path) -> None:
    """One file is run, and its trained adapters are evaluated by name with it."""
    path = tmp_path / "study.yaml"
    given: dict[str, Any] = {"training": {"max_steps": 3}, "seeds": [1], "data": {"limit": 9}}
    path.write_text(yaml.safe_dump(given))
    check_options(load_study(path, [], TARGET))
    check_options(load_study(path, ["targets=[{name: base}]"]))
    path.write_text(yaml.safe_dump(given | TARGET))
    with pytest.raises(BadInput, match="has no effect"):
        check_options(load_study(path))


def test_a_new_section_needs_no_change_of_the_walker() -> None:
    class Inner(Section):
        often: bool = True
        depth: Annotated[
            int, Matters(lambda own, uses: own.often and uses.trains, "`often`, and a training")
        ] = 0

    class Outer(Section):
        one: Inner | None = None
        several: list[Inner] = Field(default_factory=list)

    uses = uses_of(StudyConfig())
    idle: list[dict[str, Any]] = [{"often": False, "depth": 0}]
    for given, key in (
        ({"one": idle[0]}, "new.one"),
        ({"several": [{}, *idle]}, "new.several.1"),
    ):
        with pytest.raises(BadInput, match=f"^{key}.depth has no effect without `often`"):
            refuse_idle(Outer.model_validate(given), uses, "new")
    refuse_idle(Outer.model_validate({"one": {"depth": 2}, "several": [{"often": False}]}), uses, "new")


def test_what_a_study_uses() -> None:
    plain = uses_of(study({"evaluation": {"suites": ["multijail", PAIRS]}} | MPO))
    assert plain == Uses(
        trains=True,
        roles=0,
        pairs=True,
        reference=False,
        kinds=frozenset({"harmful", "pairs"}),
        known=True,
    )
    assert uses_of(study(TARGET)).roles == 0
    assert uses_of(StudyConfig()).reference


@pytest.mark.parametrize(
    "path",
    [*sorted((ROOT / "configs").glob("*.yaml")), ROOT / "src/playsafe/tiny/quickstart.yaml"],
    ids=lambda path: path.stem,
)
def test_every_shipped_configuration_uses_what_it_says(path: Path) -> None:
    check_study(load_study(path))
