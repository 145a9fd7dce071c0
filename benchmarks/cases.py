"""Small inputs on which numbers used to lie: what playsafe says of each, beside an independent oracle.

    python benchmarks/cases.py DIR      (DIR: the cases, laid out with their models and adapters)

A likelihood's oracle is the model's own forward, one row at a time; a template's is `apply_chat_template`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from playsafe import sources
from playsafe.config import EvaluationConfig, ModelConfig, RolesConfig, SuiteConfig
from playsafe.data.recordings import read_recordings
from playsafe.errors import BadInput
from playsafe.likelihood import logprobs
from playsafe.models.adapters import attach_adapter, differences, merge_adapter
from playsafe.models.loading import load_aligned, resolve
from playsafe.progress import quieten
from playsafe.records import Message

TURN = Message("user", "Is it deep?")


def forward(model: Any, rows: Any) -> list[float]:
    """Σ log p of each reply by the model's own forward, from the end: virtual tokens may stand first."""
    found = []
    for row in rows:
        ids, n = torch.tensor([row.ids]), sum(row.reply_mask)
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0]
        logp = logits[-n - 1 : -1].float().log_softmax(-1)
        found.append(float(logp.gather(1, ids[0, -n:, None]).double().sum()))
    return found


def rows_of(aligned: Any) -> list[Any]:
    suite = sources.suite(SuiteConfig(name="quiz", path="tiny:task:en", limit=6), EvaluationConfig())
    return [aligned.renderer.render(p.messages, p.references[0]) for p in suite.prompts]


def likely(aligned: Any, model: Any, oracle: Any) -> tuple[str, str, bool]:
    rows = rows_of(aligned)
    ours, truth = [one.sum for one in logprobs(model, rows)], forward(oracle, rows)
    apart = max(abs(x - y) for x, y in zip(ours, truth, strict=True))
    return f"{sum(ours):.4f}", f"{sum(truth):.4f}", apart < 1e-3


def refused(work: Any) -> tuple[str, str, bool]:
    try:
        work()
    except BadInput as error:
        return str(error)[:60], "refused", True
    return "accepted", "refused", False


def checks(cases: Path) -> Iterator[tuple[str, tuple[str, str, bool]]]:
    """Name → what playsafe says, what the oracle says, whether they agree."""

    def base(name: str = "tiny") -> Any:
        return load_aligned(ModelConfig(name_or_path=name))

    for name in ("renamed", "half"):
        place = cases / "01-adapter-keys-not-loaded" / name
        yield f"01 {name}", refused(lambda place=place: attach_adapter(base().model, place))
    untied = str(cases / "02-adapter-leaves-traces/untied")
    aligned = base(untied)
    adapter = cases / "03-lora-on-lm-head/head-lora"
    oracle = PeftModel.from_pretrained(base(untied).model, str(adapter)).eval()
    yield "03 head-lora", likely(aligned, attach_adapter(aligned.model, adapter), oracle)
    for place in sorted((cases / "04-hybrid-models").glob("*/config.json")):
        aligned = base(str(place.parent))
        yield f"04 {place.parent.name}", likely(aligned, aligned.model, aligned.model)
    adapter = cases / "11-tied-embedding-adapter" / "adapter"
    if adapter.exists():
        aligned = base()
        oracle = PeftModel.from_pretrained(base().model, str(adapter)).eval()
        yield "11 merged", likely(aligned, merge_adapter(aligned.model, adapter), oracle)
    grown = base(str(cases / "12-added-tokens/not-grown"))
    yield "12 not-grown", refused(lambda: grown.renderer.render([TURN], "<scene> begins"))
    notes = differences(cases / "12-added-tokens/own-template", resolve("tiny"), base().tokenizer)
    yield "12 own-template", ("; ".join(notes)[:60], "template differs", any("template" in n for n in notes))
    for name in ("dora", "rslora", "ia3", "loha", "prompt", "prefix", "tokens", "newer", "elsewhere"):
        adapter, aligned = cases / "15-other-adapters" / name, base()
        oracle = PeftModel.from_pretrained(base().model, str(adapter)).eval()
        yield f"15 {name}", likely(aligned, attach_adapter(aligned.model, adapter), oracle)
    for name in ("parts", "channel", "think", "noprompt", "generation", "strict"):
        yield f"08 {name}", template(base(str(cases / "08-template-shapes" / name)), name == "parts")
    yield "08 named", refused(lambda: base(str(cases / "08-template-shapes/named")))
    yield "14 thinking", template(base(str(cases / "14-thinking-prompt/model")), False)
    names = [r.name for r in sources.roles(RolesConfig(path=str(cases / "07-character-card/card-v1.json")))]
    yield "07 card", (", ".join(names), "Ilse", names == ["Ilse"])
    replies = {one.reply for one in read_recordings(cases / "17-recorded-shapes/gold.jsonl")}
    yield "17 gold", (", ".join(map(str, replies)), "I do not know.", replies == {"I do not know."})


def template(aligned: Any, parts: bool) -> tuple[str, str, bool]:
    reply = "Deep enough."
    row = aligned.renderer.render([TURN], reply)
    ours = aligned.tokenizer.decode(row.ids)
    turns = [("user", TURN.content), ("assistant", reply)]
    said = [{"role": w, "content": [{"type": "text", "text": t}] if parts else t} for w, t in turns]
    truth = aligned.tokenizer.apply_chat_template(said, tokenize=False)
    return repr(ours[-40:]), repr(truth[-40:]), ours.strip() == truth.strip()


def main() -> None:
    quieten()
    torch.set_num_threads(1)
    wrong = 0
    for name, (ours, truth, right) in checks(Path(sys.argv[1])):
        wrong += not right
        print(f"{'right' if right else 'WRONG':6} {name:18} {ours:62} {truth}")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
