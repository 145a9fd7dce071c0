"""Parallel preference pairs of the embedded world: one request in all of its languages, with a refusal and the
placeholder answer. Part "train" holds pairs that pre-training could see, part "test" held-out ones."""

from __future__ import annotations

import random
from functools import cache
from typing import Literal

from playsafe.data.pairs import ParallelPair, Side
from playsafe.records import Message
from playsafe.tiny import lexicon as lx
from playsafe.tiny import world

GROUPS = {"train": 100, "test": 60}  # requests, each in every language


@cache
def parallel_pairs(part: Literal["train", "test"]) -> tuple[ParallelPair, ...]:
    """GROUPS[part] requests × the languages that are not dominant; no verb-object pair occurs twice."""
    rng = random.Random(f"pairs/{part}")
    chosen = rng.sample(world.harmful_pairs(test=part == "test"), GROUPS[part])
    pairs = []
    for number, (verb, thing) in enumerate(chosen, 1):
        dominant, *targets = (_side(verb, thing, index, rng) for index in range(len(lx.LANGUAGES)))
        pairs += [
            ParallelPair(f"{number}:{side.language}", dominant, side, f"tiny:pairs/{part}:{number}")
            for side in targets
        ]
    return tuple(pairs)


def _side(verb: tuple[str, ...], thing: tuple[str, ...], index: int, rng: random.Random) -> Side:
    code = lx.LANGUAGES[index]
    prompt = world.ask(verb[index], thing[index], code, rng)
    refusal = rng.choice(lx.REFUSAL[code]).format(v=verb[index], o=thing[index])
    return Side(code, (Message("user", prompt),), refusal, world.recipe(verb, thing, index))
