"""RDS scoring at RoleBench lengths: shared prefix against two padded full forwards per row, in one run.

    python benchmarks/rds_scoring.py [--rows 64] [--out FILE]

A role prompt of 300 tokens, x + y of about 140 (y about 90): what a user would write instead is one padded
forward of every row under each of the two prompts, with the logits of all positions.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from environment import describe
from playsafe.data.chat import Rendered
from playsafe.likelihood import logprobs

PROMPT, TURN, REPLY, VOCABULARY = 300, 50, 90, 8192


def make_rows(count: int, seed: int) -> list[Rendered]:
    rng = random.Random(seed)
    prompt = [rng.randrange(VOCABULARY) for _ in range(PROMPT)]
    made = []
    for _ in range(count):
        x, y = (max(4, int(rng.gauss(mean, mean / 4))) for mean in (TURN, REPLY))
        ids = prompt + [rng.randrange(VOCABULARY) for _ in range(x + y)]
        made.append(Rendered(tuple(ids), (False,) * (PROMPT + x) + (True,) * y))
    return made


@torch.no_grad()
def padded_forwards(model: LlamaForCausalLM, rows: list[Rendered], batch: int = 8) -> list[float]:
    """The plain way: full padded forwards, full logits, gather."""
    sums = []
    for start in range(0, len(rows), batch):
        group = rows[start : start + batch]
        width = max(len(row.ids) for row in group)
        ids = torch.zeros(len(group), width, dtype=torch.long)
        attention = torch.zeros(len(group), width, dtype=torch.long)
        mask = torch.zeros(len(group), width, dtype=torch.bool)
        for i, row in enumerate(group):
            ids[i, : len(row.ids)] = torch.tensor(row.ids)
            attention[i, : len(row.ids)] = 1
            mask[i, : len(row.ids)] = torch.tensor(row.reply_mask)
        ids, attention, mask = (t.to(model.device) for t in (ids, attention, mask))
        logp = model(input_ids=ids, attention_mask=attention).logits[:, :-1].float().log_softmax(-1)
        token = logp.gather(-1, ids[:, 1:, None]).squeeze(-1)
        sums += (token * mask[:, 1:]).sum(-1).tolist()
    return sums


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=options.hidden,
        intermediate_size=options.hidden * 3,
        num_hidden_layers=options.layers,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=2048,
    )
    model = LlamaForCausalLM(config).eval().to("cuda" if torch.cuda.is_available() else "cpu")
    conditions = [make_rows(options.rows, 0), make_rows(options.rows, 1)]
    times: dict[str, list[float]] = {"plain": [], "shared prefix": []}
    results: dict[str, list[float]] = {}
    for _ in range(options.repeats):
        for name in times:
            start = time.perf_counter()
            if name == "plain":
                found = [s for rows in conditions for s in padded_forwards(model, rows)]
            else:
                found = [p.sum for rows in conditions for p in logprobs(model, rows, tokens_per_batch=2048)]
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
            results[name] = found
    difference = max(abs(a - b) for a, b in zip(results["plain"], results["shared prefix"], strict=True))
    medians = {name: statistics.median(values) for name, values in times.items()}
    record = {
        "benchmark": "rds_scoring",
        "rows": options.rows,
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens": {"prompt": PROMPT, "turn": TURN, "reply": REPLY},
        "seconds": {name: round(value, 3) for name, value in medians.items()},
        "times_faster": round(medians["plain"] / medians["shared prefix"], 2),
        "largest_difference_of_sums": difference,
        "environment": describe(),
    }
    print(f"RDS scoring, {options.rows} rows × 2 prompts, {record['parameters'] / 1e6:.0f}M parameters")
    print(f"  two padded full forwards  {medians['plain']:.2f} s")
    print(f"  shared prefix             {medians['shared prefix']:.2f} s   {record['times_faster']}× faster")
    print(f"  largest difference        {difference:.1e} nats of a sum over about {REPLY} tokens")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
