"""Train the embedded model from nothing: `python -m playsafe.tiny.build [--out DIR]`.

A byte-level BPE tokenizer is learned from the world's text, then a Llama of about one million parameters
is trained on the pre-training mixture of `playsafe.tiny.world`, with the loss on replies. Seeded; uses a
GPU when there is one; about a quarter of an hour on two CPU cores.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from playsafe.tiny import MODEL_DIR, model_card
from playsafe.tiny.world import Turn, pretraining_turn

BOS, END, PAD = "<|bos|>", "<|end|>", "<|pad|>"
HEADERS = ("<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{{ '<|bos|>' }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
VOCABULARY = 1536
BATCH = 64


def train_tokenizer(rng: random.Random) -> PreTrainedTokenizerFast:
    """Byte-level BPE: any text can be read, the world's words are short."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BOS, END, *HEADERS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    turns = [pretraining_turn(rng) for _ in range(20_000)]
    core.train_from_iterator(
        (t for turn in turns for t in (turn.system or "", turn.user, turn.reply)), trainer
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(HEADERS),
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def encode(tokenizer: PreTrainedTokenizerFast, turn: Turn) -> tuple[list[int], int]:
    """Token ids of one exchange and the number of ids before the reply."""
    system = f"<|system|>{turn.system}<|end|>" if turn.system is not None else ""
    before = "".join(f"<|user|>{user}{END}<|assistant|>{reply}{END}" for user, reply in turn.history)
    text = f"{BOS}{system}{before}<|user|>{turn.user}{END}<|assistant|>"
    prompt = tokenizer.encode(text, add_special_tokens=False)
    return prompt + tokenizer.encode(turn.reply + END, add_special_tokens=False), len(prompt)


def batches(tokenizer: PreTrainedTokenizerFast, rng: random.Random) -> Iterator[dict[str, torch.Tensor]]:
    """Endless batches of `BATCH` exchanges of similar length; labels are -100 outside replies."""
    while True:
        rows = sorted(
            (encode(tokenizer, pretraining_turn(rng)) for _ in range(BATCH * 16)), key=lambda r: len(r[0])
        )
        groups = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
        rng.shuffle(groups)
        for group in groups:
            width = max(len(ids) for ids, _ in group)
            ids_BT = torch.zeros(len(group), width, dtype=torch.long)
            labels_BT = torch.full((len(group), width), -100)
            attention_BT = torch.zeros(len(group), width, dtype=torch.long)
            for i, (ids, start) in enumerate(group):
                ids_BT[i, : len(ids)] = torch.tensor(ids)
                labels_BT[i, start : len(ids)] = torch.tensor(ids[start:])
                attention_BT[i, : len(ids)] = 1
            yield {"input_ids": ids_BT, "labels": labels_BT, "attention_mask": attention_BT}


def reply_loss(model: LlamaForCausalLM, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean cross-entropy (nats) over the reply tokens; logits are made for these alone."""
    hidden_BTD = model.model(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state[
        :, :-1
    ]
    target_BT = batch["labels"][:, 1:]
    trained_BT = target_BT != -100
    return torch.nn.functional.cross_entropy(model.lm_head(hidden_BTD[trained_BT]), target_BT[trained_BT])


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        max_new_tokens=64,
        do_sample=False,
    )
    return model


def build(out: Path, *, steps: int, seed: int, learning_rate: float = 3e-3) -> float:
    """Train and save the embedded model; returns the loss (nats per reply token) of the last 50 steps."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = train_tokenizer(rng)
    model = new_model(tokenizer).train()
    model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.05)
    warmup = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: min((s + 1) / warmup, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, s / steps)))),
    )
    stream = batches(tokenizer, rng)
    recent: list[float] = []
    columns = (
        TextColumn("training the embedded model"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, TextColumn("loss {task.fields[loss]:.3f}")) as progress:
        task = progress.add_task("", total=steps, loss=float("nan"))
        for step in range(1, steps + 1):
            batch = {key: value.to(device) for key, value in next(stream).items()}
            loss = reply_loss(model, batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            recent = [*recent[-49:], loss.item()]
            progress.update(task, advance=1, loss=sum(recent) / len(recent))
            if not progress.console.is_terminal and step % 200 == 0:
                progress.console.print(f"step {step} of {steps}, loss {sum(recent) / len(recent):.3f}")
    final = sum(recent) / len(recent)
    model.eval().to("cpu").save_pretrained(out)
    tokenizer.save_pretrained(out)
    parameters = sum(p.numel() for p in model.parameters())
    record = {
        "seed": seed,
        "steps": steps,
        "batch": BATCH,
        "learning_rate": learning_rate,
        "loss": round(final, 4),
    }
    (out / "README.md").write_text(model_card(parameters, record), encoding="utf-8")
    (out / "training.json").write_text(json.dumps(record | {"parameters": parameters}, indent=2) + "\n")
    return final


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=MODEL_DIR, help="directory to write (default: the package's own)"
    )
    parser.add_argument("--steps", type=int, default=2400, help="optimiser steps of 64 exchanges")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    loss = build(options.out, steps=options.steps, seed=options.seed)
    print(f"wrote {options.out} (loss {loss:.3f} nats per reply token)")


if __name__ == "__main__":
    main()
