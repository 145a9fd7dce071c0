"""Verbs that look: what is installed, known and configured, and which tokens are trained."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from playsafe.cli.runs import study_of
from playsafe.cli.screen import Config, Json, Screen, Set
from playsafe.errors import BadInput
from playsafe.progress import quieten

app = typer.Typer()
data_app = typer.Typer(help="Look at training data before training.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@data_app.command("preview")
def data_preview(
    config: Config,
    role: Annotated[str | None, typer.Option(help="role to look at; the first when absent")] = None,
    rows: Annotated[int, typer.Option(help="how many rows", min=1)] = 3,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Show exactly which tokens are trained (green), as the model reads them."""
    from playsafe.data.chat import preview
    from playsafe.data.roles import find_role
    from playsafe.streams.role import data, fitted
    from playsafe.study.resident import Resident

    screen = Screen(False, as_json)
    resident = Resident(study_of(config, overrides), screen)
    known = list(resident.roles.values())
    if not known:
        raise BadInput(
            "the study has no roles.", where="roles", next="`playsafe data pairs` shows its pairs."
        )
    chosen = find_role(known, role) if role is not None else known[0]
    material, shown = resident.material(chosen), []
    for dialogue, fit in fitted(material, chosen)[:rows]:
        if fit.rendered is None:
            screen.line(f"{dialogue.id}: dropped, {fit.length} tokens")
            continue
        spans = preview(resident.aligned().renderer, fit.rendered)
        screen.line(f"{dialogue.id} · {fit.length} tokens, {fit.outcome}")
        screen.spans((piece, "bold green" if trained else "dim") for piece, trained in spans)
        shown.append({"id": dialogue.id, "tokens": fit.length, "spans": spans})
    counts = data(material, chosen).counts
    screen.line(", ".join(f"{key} {value}" for key, value in counts.items()))
    screen.result({"rows": shown, "counts": counts})


@data_app.command("pairs")
def data_pairs(
    path: Annotated[str, typer.Argument(help="file of parallel pairs, or 'tiny'")] = "tiny",
    dominant: Annotated[str, typer.Option(help="the language whose safety is carried")] = "en",
    as_json: Json = False,
) -> None:
    """Say what is wrong with parallel pairs, by side and language; nothing is dropped."""
    from playsafe import faults
    from playsafe.config import PairsConfig
    from playsafe.streams._targets import load

    screen = Screen(False, as_json)
    pairs = load(PairsConfig(path=path, dominant=dominant))
    found = faults.check(pairs)
    rows = faults.count(pairs, found)
    seen = [kind for kind in faults.KINDS if any(row[kind] for row in rows)]
    columns = ("side", "language", "sides", *seen)
    cells = [[str(row[key] or "") for key in columns] for row in rows]
    screen.table(columns, cells, f"{len(pairs)} pairs, {len(found)} faults")
    for kind in seen:
        screen.line(f"{kind}: {faults.KINDS[kind]}", dim=True)
    screen.result({"pairs": len(pairs), "languages": rows, "faults": [asdict(fault) for fault in found]})


@app.command()
def roles(
    path: Annotated[
        str, typer.Argument(help="roles file (YAML, JSON, RoleBench desc.json) or 'tiny'")
    ] = "tiny",
    as_json: Json = False,
) -> None:
    """List the roles of a file with their tags and the length of their prompts."""
    from playsafe import sources
    from playsafe.config import RolesConfig

    screen = Screen(False, as_json)
    found = sources.roles(RolesConfig(path=path))
    rows = [(role.name, ", ".join(role.tags), str(len(role.prompt))) for role in found]
    screen.table(("role", "tags", "prompt (characters)"), rows)
    screen.result([{"name": r.name, "tags": r.tags, "prompt": r.prompt} for r in found])


@app.command()
def methods(as_json: Json = False) -> None:
    """List the training methods with their options and defaults."""
    from playsafe import methods as registry

    screen = Screen(False, as_json)
    found = []
    for name, method in ((name, registry.get(name)) for name in registry.names()):
        options = method.Options().model_dump(by_alias=True)
        found.append({"name": name, "summary": method.summary, "source": method.source, "options": options})
    _list(screen, ("method", "what it does", "source", "options"), found)


@app.command()
def suites(as_json: Json = False) -> None:
    """List the known prompt suites: kind, rows, licence and where each comes from."""
    from playsafe.data import catalogue

    screen = Screen(False, as_json)
    found = [catalogue.get(name).model_dump() for name in catalogue.names()]
    keys = ("name", "kind", "rows", "licence", "title", "obtain")
    columns = ("suite", "kind", "rows", "licence", "what it is", "how to get it")
    screen.table(columns, [[str(known[key]) for key in keys] for known in found])
    screen.result(found)


@app.command()
def attacks(as_json: Json = False) -> None:
    """List the jailbreaks with their options and defaults."""
    from playsafe import attacks as registry

    _options(registry, "attack", as_json)


@app.command()
def judges(as_json: Json = False) -> None:
    """List the judges with their options and defaults."""
    from playsafe import judges as registry

    _options(registry, "judge", as_json)


def _options(registry: Any, what: str, as_json: bool) -> None:
    """What a registry has: name, summary, options with their defaults ("required" where there is none)."""
    found = []
    for name, one in ((name, registry.get(name)) for name in registry.names()):
        options = {key: _default(field) for key, field in one.Options.model_fields.items()}
        found.append({"name": name, "summary": one.summary, "options": options})
    _list(Screen(False, as_json), (what, "what it does", "options"), found)


def _list(screen: Screen, columns: tuple[str, ...], found: list[dict[str, Any]]) -> None:
    """A row each; its options stand last."""
    rows = [
        [*list(one.values())[:-1], ", ".join(f"{k}={v}" for k, v in one["options"].items())] for one in found
    ]
    screen.table(columns, rows)
    screen.result(found)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is installed, which device is there, and whether the embedded model loads."""
    from playsafe.config import ModelConfig
    from playsafe.provenance import environment

    screen = Screen(False, as_json)
    quieten()
    from playsafe.models.loading import load_aligned

    aligned = load_aligned(ModelConfig())
    found = environment()
    found["embedded model"] = {
        "parameters": sum(p.numel() for p in aligned.model.parameters()),
        "weights": aligned.weights_hash,
    }
    shown = {
        key: ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        for key, value in found.items()
    }
    screen.table(("what", "found"), list(shown.items()))
    screen.result(found)


def _default(field: Any) -> Any:
    """What an option is when nobody sets it."""
    return "required" if field.is_required() else field.get_default(call_default_factory=True)
