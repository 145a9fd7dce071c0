"""The verb `gap`: how safe a model is, without generating a word."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer

from playsafe.cli.screen import Json, Quiet, Screen, Set
from playsafe.errors import BadInput
from playsafe.progress import quieten

app = typer.Typer()
PLAIN = "no system turn"


@app.command()
def gap(
    config: Annotated[
        Path | None, typer.Argument(help="study whose model and roles are meant", metavar="STUDY.yaml")
    ] = None,
    pairs: Annotated[
        str | None, typer.Option(help="file of parallel pairs; the study's, or the embedded ones")
    ] = None,
    model: Annotated[str | None, typer.Option(help="another model: a directory or a hub id")] = None,
    adapter: Annotated[Path | None, typer.Option(help="a LoRA adapter on the model")] = None,
    role: Annotated[list[str] | None, typer.Option(help="also under this role's prompt")] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="these alone; all of the file when absent")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="so many pairs a language", min=1)] = None,
    overrides: Set = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Reward gap by language and role: how much likelier safe replies are than unsafe ones."""
    from playsafe import sources
    from playsafe.config import load_study
    from playsafe.data.roles import find_role

    screen = Screen(quiet, as_json)
    study = load_study(config, overrides)
    if role and study.roles is None:
        raise BadInput("the study has no roles.", where="--role", next="Leave it out, or give another study.")
    chosen = [find_role(sources.roles(study.roles), name) for name in role or () if study.roles is not None]
    path = pairs if pairs is not None else (study.pairs.path if study.pairs is not None else "tiny")
    suites = sources.pair_suites(path, language, limit)
    quieten()
    from playsafe.gap import gaps
    from playsafe.models.adapters import attach_adapter
    from playsafe.models.loading import load_aligned

    other = {"name_or_path": model, "adapter": None, "revision": None}
    aligned = load_aligned(study.model if model is None else study.model.model_copy(update=other))
    measured = aligned.model if adapter is None else attach_adapter(aligned.model, adapter)
    columns = ("under", "language", "reward gap", "95 % interval", "safe reply likelier", "pairs")
    table: list[list[str]] = []
    found: list[dict[str, Any]] = []
    turns = [(PLAIN, None), *((one.name, one.prompt) for one in chosen)]
    with screen.task("reward gap", len(turns) * len(suites)) as advance:
        for (name, system), suite in product(turns, suites):
            values = gaps(measured, aligned.renderer, suite.prompts, system)
            row, shown = _row(values)
            row |= {"source": suite.source, "too_long": len(suite.prompts) - len(values)}
            found.append({"under": name, "language": suite.language, **row})
            table.append([name, suite.language, *shown, str(len(values))])
            advance(1)
    screen.table(columns, table)
    long = sum(row["too_long"] for row in found)
    if long:
        screen.note(f"{long} pairs are too long for the model and left out")
    screen.line("nats per token; above 0 the safe reply is the likelier", dim=True)
    screen.result(found)


def _row(values: list[float]) -> tuple[dict[str, Any], list[str]]:
    """The numbers of one suite, and as they are shown; one pair has no interval."""
    from playsafe.statistics import bootstrap_mean, wilson

    if not values:
        return dict.fromkeys(("gap", "low", "high", "safe_likelier")) | {"pairs": 0}, ["–"] * 3
    gap, low, high = bootstrap_mean(values)
    likelier = wilson(sum(value > 0 for value in values), len(values))
    ends = (low, high) if len(values) > 1 else (None, None)
    row = {"gap": gap, "low": ends[0], "high": ends[1], "safe_likelier": likelier, "pairs": len(values)}
    interval = f"{low:+.3f} to {high:+.3f}" if len(values) > 1 else "–"
    return row, [f"{gap:+.3f}", interval, "{:.0%} [{:.0%}, {:.0%}]".format(*likelier)]
