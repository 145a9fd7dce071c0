"""Replies from a model in process: prompts of one batch are padded on the left and decoded together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from transformers import GenerationConfig as HFGenerationConfig
from transformers import LogitsProcessorList

from playsafe.config import GenerationConfig
from playsafe.data.chat import ChatRenderer
from playsafe.models.guided import Combine, Context, Guided, left_padded


class Generated(NamedTuple):
    """text without control tokens, but for the marks of a thought; tokens counted with the stop token; how
    the reply ended."""

    text: str
    tokens: int
    finish: Literal["stop", "length"]


def decoding(model: Any, renderer: ChatRenderer, config: GenerationConfig) -> HFGenerationConfig:
    """Greedy, or the model's own sampling settings; all stop tokens of the family in both cases."""
    own = model.generation_config.to_dict() if config.sampling == "model" and model.generation_config else {}
    # A field left empty would be filled from the model's own settings: greedy names the neutral values.
    plain = {"do_sample": False, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "num_beams": 1}
    keep = (*plain, "temperature", "top_p", "top_k", "min_p")
    chosen = plain | {key: own[key] for key in keep if own.get(key) is not None}
    pad = renderer.pad_id
    return HFGenerationConfig(
        **chosen,
        max_new_tokens=config.max_new_tokens,
        eos_token_id=sorted(renderer.stop_ids),
        pad_token_id=pad if pad is not None else min(renderer.stop_ids),
    )


@torch.no_grad()
def generate(
    model: Any,
    renderer: ChatRenderer,
    prompts: Sequence[Sequence[int]],
    config: GenerationConfig,
    contexts: Sequence[Sequence[Sequence[int]]] = (),
    combine: Combine | None = None,
) -> list[Generated]:
    """One reply to each prompt (token ids). Sampling is seeded by config.seed and the prompts themselves,
    so that a batch gives the same replies whenever it is run.

    contexts: further contexts, each with a prompt for each of `prompts`, whose next-token log-probabilities
    `combine` joins to those of the prompts.
    """
    settings = decoding(model, renderer, config)
    pad = settings.pad_token_id
    ids_BT, attention_BT = left_padded(prompts, pad)
    guides = [] if combine is None else [Guided([Context(model, c, pad) for c in contexts], combine)]
    seed = hashlib.sha256(f"{config.seed}{[list(p) for p in prompts]}".encode()).digest()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(int.from_bytes(seed[:7], "big"))
        output = model.generate(
            input_ids=ids_BT.to(model.device),
            attention_mask=attention_BT.to(model.device),
            generation_config=settings,
            logits_processor=LogitsProcessorList(guides),
        )
    return [_cut(row[ids_BT.shape[1] :].tolist(), renderer) for row in output]


def _cut(ids: list[int], renderer: ChatRenderer) -> Generated:
    end = next((i for i, token in enumerate(ids) if token in renderer.stop_ids), None)
    kept = ids if end is None else ids[:end]
    text = renderer.decode(kept).strip()
    return Generated(text, len(kept) + (end is not None), "length" if end is None else "stop")
