"""From a study's parallel pairs to training rows: every target side under its system turn, rendered, with
what the frozen model says of it and of its dominant side.

That is one scalar a dominant side, two sums a target and a vector a held sequence: computed once, kept in
<output_dir>/cache/, and no frozen model is needed afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from playsafe.config import PairsConfig, SystemTurn
from playsafe.data.chat import ChatRenderer, Rendered, render_dialogue
from playsafe.data.collate import Collator, PairRow, TrainRow
from playsafe.data.pairs import ParallelPair, Side, load_pairs
from playsafe.errors import BadInput, nearest
from playsafe.faults import Fault, check
from playsafe.methods import PairUse
from playsafe.models.heads import hidden_states
from playsafe.objectives import Pooling, pooled, pooling_weights, predicting
from playsafe.records import Dialogue, Role
from playsafe.rundir import digest, is_writer
from playsafe.scoring import logprobs
from playsafe.sources import system_text
from playsafe.tiny.names import path_of

MULTIPLE = 8  # the released code pads the two sequences of a pair to a multiple of this
TOKENS = 8192  # in a batch of held sequences
NO_FAULTS = ("unread", "unknown language")  # the checker does not know


@dataclass(frozen=True, slots=True)
class Target:
    """One side that is led, under one system turn, to the gap of its dominant side."""

    id: str
    system: SystemTurn
    side: Side
    dominant: Side
    source: str


@dataclass(frozen=True, slots=True)
class PairData:
    """The targets of a study, the same for every role.

    counts: pairs read, left out (over_limit, without_text, faulty, other_languages), and targets.
    """

    targets: tuple[Target, ...]
    faults: tuple[Fault, ...]
    counts: dict[str, int]

    @property
    def hash(self) -> str:
        return digest([[t.system, *map(_texts, (t.side, t.dominant))] for t in self.targets])


class RenderedPair(NamedTuple):
    """Token ids of a target and of its dominant side."""

    chosen: Rendered
    rejected: Rendered
    dominant_chosen: Rendered
    dominant_rejected: Rendered


class Frozen(NamedTuple):
    """What the frozen model says of P pairs, float32 on the CPU.

    aim [P]: RG_ref of the dominant sides. ref_chosen, ref_rejected [P]: log p_ref of the targets' replies.
    held [P·A, D]: representations of the held sequences.
    """

    aim: Tensor
    ref_chosen: Tensor
    ref_rejected: Tensor
    held: Tensor


def load(config: PairsConfig) -> tuple[ParallelPair, ...]:
    """The pairs of a file, whole. Raises BadInput."""
    return load_pairs(path_of(config.path, "pairs", "pairs.path"), dominant=config.dominant)


def read_pairs(config: PairsConfig, *, has_role: bool) -> PairData:
    """The study's targets.

    Raises BadInput: an unreadable file, an unknown language, a role prompt without a role, faults where they
    are to be errors.
    """
    if "role" in config.system and not has_role:
        raise BadInput(
            "there is no role whose prompt the targets could stand under.",
            where="pairs.system",
            next="Set roles, or pairs.system: none.",
        )
    pairs = load(config)
    counts = {"read": len(pairs)}
    requests = list(dict.fromkeys(pair.dominant for pair in pairs))
    within = set(requests[: config.limit])
    pairs = tuple(pair for pair in pairs if pair.dominant in within)
    counts["over_limit"] = counts["read"] - len(pairs)
    whole = tuple(pair for pair in pairs if _has_text(pair.dominant) and _has_text(pair.target))
    counts["without_text"] = len(pairs) - len(whole)
    faults = tuple(fault for fault in check(whole) if fault.kind not in NO_FAULTS)
    kept = _without(whole, faults, config.faults)
    counts["faulty"] = len(whole) - len(kept)
    chosen = [p for p in kept if config.languages is None or p.target.language in config.languages]
    counts["other_languages"] = len(kept) - len(chosen)
    targets = tuple(_targets(kept, config))
    return PairData(targets, faults, counts | {"targets": len(targets)})


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


def pair_rows(
    model: Any,
    rendered: Sequence[RenderedPair],
    use: PairUse,
    *,
    first: int,
    pad_id: int,
    bf16: bool,
    cache: Path,
    identity: Any,
) -> list[PairRow]:
    """Training rows of the pairs, numbered from `first`.

    model: the frozen one, before training, in eval mode; it is asked only where `cache` holds no file of this
    identity. bf16: under autocast, as in training.
    """
    held = [_held(pair, use.pooling, pad_id) for pair in rendered]
    ids = [[r.ids for r in pair] for pair in rendered]
    path = cache / f"pairs-{digest([identity, ids, use.pooling, bf16])}.safetensors"
    frozen = _cached(path)
    if frozen is None:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            frozen = frozen_values(model, rendered, held, pad_id)
        if is_writer():
            cache.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            save_file(frozen._asdict(), temporary)
            temporary.replace(path)
    per_pair = frozen.held.split([len(sequences) for sequences in held])
    return [
        _row(first + n, pair, sequences, use, tuple(float(values[n]) for values in frozen[:3]), vectors)
        for n, (pair, sequences, vectors) in enumerate(zip(rendered, held, per_pair, strict=True))
    ]


def _cached(path: Path) -> Frozen | None:
    """What an earlier call kept; None where there is nothing or something damaged."""
    try:
        return Frozen(**load_file(path))
    except (FileNotFoundError, SafetensorError, TypeError):
        return None


@torch.no_grad()
def frozen_values(
    model: Any, rendered: Sequence[RenderedPair], held: Sequence[Sequence[TrainRow]], pad_id: int
) -> Frozen:
    """Ask the frozen model; what several pairs share (a dominant side, its representation) is asked once."""
    distinct = list(dict.fromkeys(reply for pair in rendered for reply in pair))
    said = dict(zip(distinct, logprobs(model, distinct), strict=True))
    aim = [said[p.dominant_chosen].mean - said[p.dominant_rejected].mean for p in rendered]
    sums = [[said[reply].sum for reply in pair[:2]] for pair in rendered]
    chosen, rejected = torch.tensor(sums).T.contiguous() if sums else (torch.zeros(0), torch.zeros(0))
    every = [sequence for sequences in held for sequence in sequences]
    vectors = _vectors(model, {(row.ids, row.padding): row for row in every}, pad_id)
    width = model.get_input_embeddings().embedding_dim
    stacked = [vectors[row.ids, row.padding] for row in every]
    return Frozen(
        torch.tensor(aim),
        chosen.clone(),
        rejected.clone(),
        torch.stack(stacked) if stacked else torch.zeros(0, width),
    )


def _vectors(
    model: Any, sequences: dict[tuple[tuple[int, ...], int], TrainRow], pad_id: int
) -> dict[tuple[tuple[int, ...], int], Tensor]:
    """The pooled representation of each sequence, [D] in float32."""
    collator = Collator(pad_id, ["retain"])
    found: dict[tuple[tuple[int, ...], int], Tensor] = {}
    for keys in _batches(sorted(sequences, key=lambda key: len(key[0]))):
        batch = collator([sequences[key] for key in keys])
        ids_BT, attention_BT, weights_BT = (
            t.to(model.device)
            for t in (batch["input_ids"], batch["attention_mask"], batch["weights"]["retain"])
        )
        hidden_BTD = hidden_states(model, ids_BT, attention_BT).last_hidden_state
        found |= dict(zip(keys, pooled(hidden_BTD, weights_BT).float().cpu(), strict=True))
    return found


def _batches(keys: Sequence[Any]) -> Iterator[list[Any]]:
    """Of about TOKENS tokens; keys are sorted by the length of their sequence."""
    batch: list[Any] = []
    for key in keys:
        if batch and len(key[0]) * (len(batch) + 1) > TOKENS:
            yield batch
            batch = []
        batch.append(key)
    if batch:
        yield batch


def _without(pairs: tuple[ParallelPair, ...], faults: Sequence[Fault], how: str) -> tuple[ParallelPair, ...]:
    """The pairs that are kept; a fault of a dominant side is one of every pair that it is in."""
    if how == "keep" or not faults:
        return pairs
    if how == "error":
        first = faults[0]
        raise BadInput(
            f"{len(faults)} faults, the first is {first.kind!r} in pair {first.id!r} ({first.side}).",
            where="pairs",
            next="See `playsafe data pairs`; pairs.faults: keep or drop goes on.",
        )
    by_id = {pair.id: pair for pair in pairs}
    targets = {fault.id for fault in faults if fault.side == "target"}
    dominant = {by_id[fault.id].dominant for fault in faults if fault.side == "dominant"}
    kept = tuple(p for p in pairs if p.id not in targets and p.dominant not in dominant)
    if not kept:
        raise BadInput("every pair has a fault.", where="pairs", next="Set pairs.faults: keep.")
    return kept


def _targets(pairs: Sequence[ParallelPair], config: PairsConfig) -> Iterator[Target]:
    """Every (system turn, language) in the order of the configuration; see `PairsConfig`."""
    known = list(dict.fromkeys([config.dominant, *(pair.target.language for pair in pairs)]))
    for language in config.languages or ():
        if language not in known:
            raise BadInput(
                f"no pair is in {language!r}. {nearest(language, known)}",
                where="pairs.languages",
                allowed=", ".join(known),
            )
    for turn in config.system:
        if config.dominant in (config.languages or ([] if turn == "none" else known)):
            own = {pair.dominant: pair for pair in reversed(pairs)}
            for pair in reversed(own.values()):
                yield Target(f"{pair.id}@{turn}", turn, pair.dominant, pair.dominant, pair.source)
        for pair in pairs:
            if config.languages is None or pair.target.language in config.languages:
                yield Target(f"{pair.id}@{turn}", turn, pair.target, pair.dominant, pair.source)


def _has_text(side: Side) -> bool:
    return all(text.strip() for text in (side.messages[-1].content, side.chosen, side.rejected))


def _held(pair: RenderedPair, pooling: Pooling | None, pad_id: int) -> list[TrainRow]:
    """The dominant side's sequences whose representation is held: its prompt, or both replies as released."""
    if pooling is None:
        return []
    if pooling != "released":
        prompt = pair.dominant_chosen.ids[: pair.dominant_chosen.prompt_length]
        return [_pooling_row(prompt, 0, pooling)]
    both = (pair.dominant_chosen.ids, pair.dominant_rejected.ids)
    width = -(-max(map(len, both)) // MULTIPLE) * MULTIPLE
    return [_pooling_row((*ids, *([pad_id] * (width - len(ids)))), width - len(ids), pooling) for ids in both]


def _pooling_row(ids: tuple[int, ...], padding: int, pooling: Pooling) -> TrainRow:
    attention_1T = torch.ones(1, len(ids))
    attention_1T[:, len(ids) - padding :] = 0
    weights = pooling_weights(attention_1T, pooling)[0].tolist()
    return TrainRow(-1, ids, {"retain": weights}, {}, padding)


def _row(
    number: int,
    pair: RenderedPair,
    held: Sequence[TrainRow],
    use: PairUse,
    frozen: tuple[float, ...],
    vectors: Tensor,
) -> PairRow:
    chosen, rejected = (
        predicting(torch.tensor([reply.reply_mask]).float())[0].tolist()
        for reply in (pair.chosen, pair.rejected)
    )
    marks = {use.term: chosen} if use.term else {}
    counts = {use.term: 1.0} if use.term else {}
    if use.ce:
        marks, counts = marks | {"ce": chosen}, counts | {"ce": float(sum(pair.chosen.reply_mask))}
    if held:
        counts |= {"retain": float(len(held))}
    aim, ref_chosen, ref_rejected = frozen
    return PairRow(
        number,
        TrainRow(number, pair.chosen.ids, marks, {}),
        TrainRow(number, pair.rejected.ids, {use.term: rejected} if use.term else {}, {}),
        tuple(held),
        counts,
        aim,
        ref_chosen,
        ref_rejected,
        vectors,
    )


def _texts(side: Side) -> list[Any]:
    return [side.language, [m.content for m in side.messages], side.chosen, side.rejected]
