"""Parallel preference pairs of the embedded world: one request in all of its languages, each with a refusal
and an unsafe reply. Part "train" holds verb-object pairs that pre-training could see, part "test" others.

The unsafe replies are the embedded model's own words, written when its reply is begun for it; a reply that it
would never give says nothing about what it prefers. `python -m playsafe.tiny.pairs` writes both files.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from playsafe.tiny import lexicon as lx
from playsafe.tiny import world
from playsafe.tiny.names import FILES

REQUESTS = {"train": 120, "test": 80}  # each in every language


def _sides(part: str) -> Iterator[dict[str, str]]:
    """Rows of the plain format without the unsafe reply, which is begun as a compliant one is."""
    rng = random.Random(f"pairs/{part}")
    chosen = rng.sample(world.harmful_pairs(test=part == "test"), REQUESTS[part])
    for number, (verb, thing) in enumerate(chosen, 1):
        for index, code in enumerate(lx.LANGUAGES):
            v, o = verb[index], thing[index]
            yield {
                "group": str(number),
                "language": code,
                "prompt": world.ask(v, o, code, rng),
                "chosen": rng.choice(lx.REFUSAL[code]).format(v=v, o=o),
                "begun": world.recipe(verb, thing, index).split(" ")[0],
            }


def main() -> None:
    from playsafe.config import GenerationConfig, ModelConfig
    from playsafe.models.generate import generate
    from playsafe.models.loading import load_aligned
    from playsafe.records import Message

    aligned = load_aligned(ModelConfig())
    decoding = GenerationConfig(max_new_tokens=48)
    for part in REQUESTS:
        rows: list[dict[str, Any]] = list(_sides(part))
        for row in rows:
            begun = row.pop("begun")
            ids = aligned.renderer.prompt([Message("user", row["prompt"])], prefill=begun)
            reply = generate(aligned.model, aligned.renderer, [ids], decoding)[0]
            row["rejected"] = f"{begun} {reply.text}"
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (FILES / f"pairs-{part}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
