"""What is refused before the first long computation: bad rows, faulty pairs, another study's directory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from playsafe.config import NOT_NUMBERS, EndpointConfig, TargetConfig
from playsafe.endpoint import Endpoint
from playsafe.errors import BadInput
from playsafe.provenance import environment
from playsafe.rundir import claim, is_writer, write_json
from playsafe.study.arms import knows_model
from playsafe.study.replies import existing
from playsafe.study.resident import SCHEMA, Resident
from playsafe.targets import Recorded


def open_study(resident: Resident) -> None:
    """Read all rows and claim the output directory. Raises BadInput and CheckFailed."""
    config = resident.config
    for target in config.targets:
        _check_source(target, len(config.evaluation.system))
    _check_adapters(resident)
    _check_servers(resident)
    identity: dict[str, object] = {"schema": SCHEMA, "kind": "audit"}
    if config.grid:
        _check_roles(resident)
        identity = _open_grid(resident)
    if is_writer():
        claim(resident.root, identity)
    idle: dict[str, object] = {} if config.grid else {"methods": [], "arms": []}
    cast = {"cast": [*resident.roles]} if resident.roles else {}
    write_json(resident.root / "study.json", config.model_dump() | idle | cast)
    if knows_model(config):
        resident.aligned()
    write_json(resident.root / "provenance.json", environment())


def _open_grid(resident: Resident) -> dict[str, object]:
    """Everything that is trained on is read; returns what the directory belongs to."""
    from playsafe import methods
    from playsafe.methods import loss_of
    from playsafe.streams import of_loss, pairs, role
    from playsafe.training import check_lora
    from playsafe.training.arguments import check_settings, training_arguments

    config = resident.config
    streams: dict[str, object] = {}
    for method in [arm.method for arm in resident.arms.values() if arm.method is not None]:
        chosen = methods.get(method.name)
        loss = loss_of(chosen, method.parsed())
        streams |= of_loss(chosen, loss, f"methods.{method.key}")
    for one in resident.roles.values():
        role.fitted(resident.material(one), one)
    first = next(iter(resident.roles.values()), None)
    material = resident.material(first)
    if "pairs" in streams:
        pairs.rendered(material)
        found = pairs.data(material)
        if found.faults:
            kinds = Counter(fault.kind for fault in found.faults)
            listed = ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items()))
            resident.reporter.note(
                f"the pairs have faults ({listed}), {found.counts['faulty']} are dropped for them; "
                "`playsafe data pairs` lists them"
            )
    if config.training.gap_steps:
        resident.gap_probe(first)
    check_settings(config.training)
    if config.training.lora is not None and any(arm.method for arm in resident.arms.values()):
        check_lora(resident.aligned().model, config.training.lora)
    training_arguments(config.training, resident.root, seed=0, device=resident.aligned().device)
    return {
        **resident.model_identity,
        "data": config.data.model_dump(exclude={"path", "references"}),  # cells know their rows by content
        "training": config.training.model_dump(exclude=NOT_NUMBERS),
        "scoring": {"threshold": config.scoring.threshold},
        "pairs": config.pairs and config.pairs.model_dump(exclude={"path"}),
    }


def _check_roles(resident: Resident) -> None:
    if not resident.roles and resident.config.roles is not None:
        raise BadInput(
            "the study has no role.", where="roles.names", next="`roles: null` is a study without roles."
        )


def _check_source(target: TargetConfig, turns: int) -> None:
    """Refuse files and directories that cannot answer."""
    where = f"targets.{target.name}"
    if target.adapter is not None and not existing(target.adapter).is_dir():
        raise BadInput(
            f"{target.adapter} is no directory.", where=where, next="Give the adapter's directory."
        )
    if target.completions is not None:
        if not existing(target.completions).is_file():
            raise BadInput(f"{target.completions} is no file.", where=where, next="Give the file of replies.")
        if turns > 1:
            raise BadInput(
                "recorded replies answer under one system turn, the study asks under several.",
                where=where,
                next="Set evaluation.system to the turn that was used.",
            )
        Recorded(existing(target.completions))


def _check_adapters(resident: Resident) -> None:
    """Say at once which adapters cannot be used; refuse the study where that is every target."""
    broken: list[BadInput] = []
    for target in resident.config.targets:
        try:
            if target.adapter is not None:
                from playsafe.models.adapters import check_adapter

                check_adapter(Path(target.adapter))
        except BadInput as error:
            broken.append(error)
            resident.reporter.note(f"{target.name} cannot be evaluated: {error}")
    if broken and len(broken) == len(resident.config.targets):
        raise broken[0]


def _check_servers(resident: Resident) -> None:
    """Keys that are missing or refused show before training does; a server may still come."""
    config = resident.config
    targets = [t.endpoint for t in config.targets if t.endpoint is not None]
    judges = [
        options for judge in config.evaluation.judges if isinstance(options := judge.parsed(), EndpointConfig)
    ]
    for server in [*targets, *judges]:
        endpoint = Endpoint(server)
        if (config.grid or server in judges) and (absent := endpoint.check()):
            resident.reporter.note(absent)
        endpoint.close()
