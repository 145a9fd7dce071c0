"""Preference pairs: "pairs.chosen" and "pairs.rejected", the replies y_w and y_l of every target, and
"pairs.held", the rows of the dominant side whose representation is held still."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from playsafe.data.chat import ChatRenderer
from playsafe.data.fitting import render_dialogue
from playsafe.data.rows import Example, Row, reply_marks
from playsafe.errors import BadInput
from playsafe.objectives import Pooling, pooling_weights
from playsafe.records import Dialogue, Role
from playsafe.rundir import digest
from playsafe.scoring import model_can_read
from playsafe.sources import system_text
from playsafe.streams import Material, Rows
from playsafe.streams._frozen import Frozen, RenderedPair, frozen_values, kept
from playsafe.streams._targets import PairData, read_pairs
from playsafe.terms import HeldTerm, Loss

MULTIPLE = 8  # the released code pads the two rows of a pair to a multiple of this


def data(material: Material) -> PairData:
    """The study's targets, read once."""
    config = material.config
    if config.pairs is None:
        raise BadInput(
            "the method trains on preference pairs, and the study has none.",
            where="pairs",
            next="Add a section `pairs`.",
        )
    settings = config.pairs
    return material.once("pairs", lambda: read_pairs(settings, has_role=config.roles is not None))


def rendered(material: Material) -> list[RenderedPair]:
    """The targets as a role has them, without those over max_length."""
    name = material.role.name if material.role is not None else ""
    return material.once(("rendered pairs", name), lambda: _rendered(material))


def _rendered(material: Material) -> list[RenderedPair]:
    found, settings, aligned = data(material), material.config.data, material.aligned()
    drop = settings.overlong == "drop"
    fitting = render_pairs(found, aligned.renderer, material.role, settings.max_length, drop=drop)
    every = len(found.targets)
    if len(fitting) < every:
        material.note(f"{every - len(fitting)} of {every} pairs are over max_length and dropped")
    if not fitting:
        raise BadInput("no preference pair is left to train on.", where="pairs", next="See data.max_length.")
    model_can_read(aligned.model, [reply for pair in fitting for reply in pair], "pairs")
    return fitting


def render_pairs(
    data: PairData, renderer: ChatRenderer, role: Role | None, max_length: int, *, drop: bool
) -> list[RenderedPair]:
    """Every target whose four sequences fit into max_length. drop: longer ones are left out, not refused."""
    found = []
    for target in data.targets:
        four = [
            render_dialogue(
                renderer,
                Dialogue(target.id, "", side.messages, reply, source=target.source),
                system,
                max_length,
                "drop" if drop else "error",
            ).rendered
            for side, system in ((target.side, system_text(target.system, role)), (target.dominant, None))
            for reply in (side.chosen, side.rejected)
        ]
        whole = [rendered for rendered in four if rendered is not None]
        if len(whole) == 4:
            found.append(RenderedPair(*whole))
    return found


def pair_examples(
    model: Any,
    pairs: Sequence[RenderedPair],
    pooling: Pooling | None,
    *,
    first: int,
    pad_id: int,
    bf16: bool,
    cache: Path,
    identity: Any,
) -> list[Example]:
    """An example a pair, numbered from `first`: chosen, rejected and what is held, with what the frozen model
    says of each.

    model: the frozen one, before training, in eval mode; it is asked only where `cache` holds no file of this
    identity. bf16: under autocast, as in training.
    """
    held = [held_rows(pair, pooling, pad_id) for pair in pairs]

    def ask() -> Frozen:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            return frozen_values(model, pairs, held, pad_id)

    rests_on = [identity, [[reply.ids for reply in pair] for pair in pairs], pooling, bf16]
    frozen = kept(cache / f"pairs-{digest(rests_on)}.safetensors", ask)
    vectors = iter(frozen.held)
    made: list[Example] = []
    for n, (pair, own) in enumerate(zip(pairs, held, strict=True)):
        said = {name: float(getattr(frozen, name)[n]) for name in ("aim", "ref_chosen", "ref_rejected")}
        sides = [
            Row(f"pairs.{side}", first + n, reply.ids, {"reply": reply_marks(reply.reply_mask)}, said)
            for side, reply in zip(("chosen", "rejected"), pair, strict=False)
        ]
        made.append((*sides, *(replace(row, constants={"ref_hidden": next(vectors)}) for row in own)))
    return made


def held_rows(pair: RenderedPair, pooling: Pooling | None, pad_id: int) -> list[Row]:
    """The dominant side's rows whose representation is held: its prompt, or both replies as released."""
    if pooling is None:
        return []
    if pooling != "released":
        prompt = pair.dominant_chosen.ids[: pair.dominant_chosen.prompt_length]
        return [_pooled_row(prompt, 0, pooling)]
    both = (pair.dominant_chosen.ids, pair.dominant_rejected.ids)
    width = -(-max(map(len, both)) // MULTIPLE) * MULTIPLE
    return [_pooled_row((*ids, *([pad_id] * (width - len(ids)))), width - len(ids), pooling) for ids in both]


def _pooled_row(ids: tuple[int, ...], padding: int, pooling: Pooling) -> Row:
    attention_1T = torch.ones(1, len(ids))
    attention_1T[:, len(ids) - padding :] = 0
    return Row(
        "pairs.held", -1, ids, {"pool": pooling_weights(attention_1T, pooling)[0].tolist()}, {}, padding
    )


class PairStream:
    provides = frozenset({"aim", "ref_chosen", "ref_rejected", "ref_hidden"})

    def identity(self, material: Material) -> Any:
        return data(material).hash

    def rows(self, material: Material, terms: Loss, first: int) -> Rows:
        found, pairs = data(material), rendered(material)
        pooling = next((term.asks["pooling"] for term in terms if isinstance(term, HeldTerm)), None)
        examples = pair_examples(
            material.aligned().model,
            pairs,
            pooling,
            first=first,
            pad_id=material.pad_id,
            bf16=material.config.training.bf16,
            cache=material.cache,
            identity=material.model_identity,
        )
        too_long = len(found.targets) - len(pairs)
        about = {
            "pairs": {**found.counts, "trained": len(pairs), "too_long": too_long},
            "faults": dict(Counter(fault.kind for fault in found.faults)),
        }
        return Rows(examples, about)


STREAM = PairStream()
