"""Every option of a study is used or refused: one walk over what is set, before anything long begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from playsafe.config import MethodConfig, Named, StudyConfig, SuiteKind
from playsafe.errors import BadInput
from playsafe.matters import Matters, Uses
from playsafe.methods import loss_of
from playsafe.settings import Section
from playsafe.sources import kind_of, known_suite
from playsafe.study.arms import knows_model
from playsafe.terms import REFERENCE
from playsafe.tiny import MODEL_DIR


def check_options(config: StudyConfig) -> None:
    """Raises BadInput for the first option that is set and has no effect in this study (see `Matters`), and
    for methods and targets that lack what they need."""
    if config.grid:
        check_study(config)
    refuse_idle(config, uses_of(config))
    _check_targets(config)


def check_suites(config: StudyConfig) -> None:
    """Refuse to ask anybody but the embedded model the embedded prompts, unless they are named."""
    strangers = [name for name in _asked(config) if name not in ("tiny", str(MODEL_DIR))]
    if strangers and "suites" not in config.evaluation.model_fields_set:
        raise BadInput(
            f"no suites are named, and the embedded prompts were made for the embedded model, not for "
            f"{strangers[0]}.",
            where="evaluation.suites",
            allowed="known suites by name (`playsafe suites`), files with path and kind, [] for none",
            next="For example --set 'evaluation.suites=[advbench, xstest]'.",
        )


def _asked(config: StudyConfig) -> list[str]:
    """The models, servers and files that are asked; a path that leads nowhere is refused by its reader."""
    models = [config.model.name_or_path] if knows_model(config) else []
    own = [target.model for target in config.targets if target.model]
    models += [one if isinstance(one, str) else one.name_or_path for one in own]
    there = [m for m in models if not m.startswith((".", "/", "~")) or Path(m).expanduser().exists()]
    there += [t.completions for t in config.targets if t.completions and Path(t.completions).is_file()]
    servers = [target.endpoint for target in config.targets if target.endpoint is not None]
    return there + [f"{server.model} at {server.base_url}" for server in servers]


def uses_of(config: StudyConfig) -> Uses:
    """What the study makes use of, from its configuration and the registries; reads no file of the user's."""
    methods = (
        [(one.registry.get(one.name), one.parsed()) for one in _trained(config)] if config.trains else []
    )
    losses = [loss_of(method, options) for method, options in methods]
    roles = config.roles if config.trains or any(one.role for one in config.targets) else None
    suites = config.evaluation.suites
    return Uses(
        trains=config.trains,
        roles=0 if roles is None else 2 if roles.names is None else len(roles.names),
        pairs=any("pairs" in loss.streams for loss in losses),
        reference=any(loss.needing(REFERENCE) for loss in losses),
        # without suites nothing is evaluated on purpose: no setting of the evaluation is called idle then
        kinds=frozenset(map(kind_of, suites) if suites else get_args(SuiteKind)),
        known=not suites or any(known_suite(suite) is not None for suite in suites),
    )


def refuse_idle(section: Section, uses: Uses, where: str = "") -> None:
    """Walk over the fields that are set; null, false and an empty list say nothing: they are never idle."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if name not in section.model_fields_set or value is None or value is False or value == []:
            continue
        key = f"{where}.{field.alias or name}".lstrip(".")
        for matters in field.metadata:
            if isinstance(matters, Matters) and not matters.when(section, uses):
                raise BadInput(
                    f"{key} has no effect without {matters.needs}.",
                    next="Remove the key, or give the study what it needs.",
                )
        for place, inner in _inside(value, key):
            refuse_idle(inner, uses, place)


def _inside(value: Any, key: str) -> Iterator[tuple[str, Section]]:
    """The sections in a field's value: itself, those of a list, the options of something that has a name."""
    if isinstance(value, Section):
        yield key, value
    if isinstance(value, Named):
        yield f"{key}.options", value.parsed()
    for number, one in enumerate(value if isinstance(value, list) else ()):
        yield from _inside(one, f"{key}.{getattr(one, 'key', None) or getattr(one, 'name', number)}")


def _check_targets(config: StudyConfig) -> None:
    """Refuse targets that cannot be asked, before any file is read."""
    named = next((target for target in config.targets if target.role), None)
    if named is not None and config.roles is None:
        raise BadInput(
            "the study has no roles.", where=f"targets.{named.name}", next="Set roles, or leave the role out."
        )
    if "role" in config.evaluation.system and any(target.role is None for target in config.targets):
        raise BadInput(
            "a target without a role cannot be asked under its role prompt.",
            where="evaluation.system",
            next="Name the target's role, or ask with system none or empty.",
        )


def _trained(config: StudyConfig) -> list[MethodConfig]:
    """Every method of a study, of its own or of an arm."""
    return [one for one in (*config.methods, *(arm.train for arm in config.arms)) if one is not None]


def check_study(config: StudyConfig) -> None:
    """Refuse methods that would have nothing to train on, and options that would have no effect."""
    for method in _trained(config):
        _check_rows(method, config)
    if config.pairs is not None and config.data.overlong == "truncate":
        raise BadInput("preference pairs are not truncated.", where="data.overlong", allowed="error, drop")
    if config.roles is None and "role" in (config.training.system, *config.evaluation.system):
        raise BadInput("a study without roles has no role prompt.", where="system", allowed="none, empty")


def _check_rows(method: MethodConfig, config: StudyConfig) -> None:
    loss = loss_of(method.registry.get(method.name), method.parsed())
    where = f"methods.{method.key}"
    if "pairs" in loss.streams and config.pairs is None:
        raise BadInput(
            "the method trains on preference pairs, and the study has none.",
            where=where,
            next="Add a section `pairs`.",
        )
    if config.roles is None and loss.streams == ["role"]:
        raise BadInput(
            "the method trains on a role's rows, and the study has no role.",
            where=where,
            next="Set roles; for sft on the pairs set its option `pairs: chosen`.",
        )
