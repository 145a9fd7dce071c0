"""scores.jsonl against log-probabilities recomputed with transformers alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from conftest import playsafe
from playsafe.tiny import MODEL_DIR

pytestmark = pytest.mark.slow


def recomputed(model: Any, tokenizer: Any, system: str, user: str, reply: str, end: str) -> tuple[float, int]:
    """Sum of reply log-probabilities and number of reply tokens, end of turn included."""
    try:
        turns = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    except Exception:  # Gemma-2 knows no system turn
        turns = [{"role": "user", "content": f"{system}\n\n{user}"}]
        prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": reply}], tokenize=False)
    reply = whole.removeprefix(prompt).split(end)[0]  # as the template writes it: some trim replies
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    after = tokenizer(reply, add_special_tokens=False)["input_ids"] + [tokenizer.convert_tokens_to_ids(end)]
    ids = torch.tensor([before + after])
    with torch.no_grad():
        logp = model(input_ids=ids).logits[0, len(before) - 1 : -1].double().log_softmax(-1)
    picked = logp.gather(-1, ids[0, len(before) :, None])
    return float(picked.sum()), len(after)


def compare(tmp_path: Path, study: str, model: Path, roles: dict[str, str], end: str) -> int:
    config, out = tmp_path / "study.yaml", tmp_path / "out"
    config.write_text(f"output_dir: {out}\n{study}")
    assert playsafe("score", str(config), "--quiet") == 0
    (folder,) = out.glob("*/scores")
    texts = {row["id"]: row for row in map(json.loads, (folder / "rows.jsonl").open(encoding="utf-8"))}
    tokenizer, plain = AutoTokenizer.from_pretrained(model), AutoModelForCausalLM.from_pretrained(model)
    plain = plain.float().eval()
    count = 0
    for line in (folder / "scores.jsonl").open(encoding="utf-8"):
        score = json.loads(line)
        row = texts[score["id"]]
        means = {}
        for key in ("role", "unsafe"):
            total, tokens = recomputed(plain, tokenizer, roles[key], row["user"], row["reply"], end)
            assert score["logprob"][key]["tokens"] == tokens
            means[key] = total / tokens
            assert score["logprob"][key]["sum"] / tokens == pytest.approx(means[key], abs=1e-4)
        assert score["gap"] == pytest.approx(means["unsafe"] - means["role"], abs=1e-4)
        count += 1
    return count


def test_embedded_model(tmp_path: Path) -> None:
    from playsafe.tiny.demo import DEMO

    skarn = DEMO["Skarn"]
    roles = {"role": skarn.prompt(), "unsafe": skarn.unsafe_prompt()}
    study = "roles: {names: [Skarn]}\ndata: {limit: 40}\n"
    assert compare(tmp_path, study, MODEL_DIR, roles, "<|end|>") == 40


@pytest.mark.parametrize(
    ("family", "name", "end", "count"),
    [
        ("llama", "llama-3-8b-instruct", "<|eot_id|>", 12),
        ("qwen2", "qwen2.5-7b-instruct", "<|im_end|>", 12),
        ("gemma2", "gemma-2-9b-it", "<end_of_turn>", 4),  # its vocabulary takes the time
    ],
)
def test_real_tokenizers_and_rows(
    shared: Path,
    tmp_path: Path,
    save_model: Callable[..., Path],
    family: str,
    name: str,
    end: str,
    count: int,
) -> None:
    from playsafe.data.roles import find_role, load_roles

    bench = shared / "data" / "rolebench"
    rows = bench / "rolebench-eng" / "instruction-generalization" / "role_specific" / "test.jsonl"
    role = find_role(load_roles(bench / "desc.json"), "Gaston")
    model = save_model(family, shared / "tokenizers" / name)
    study = (
        f"model: {{name_or_path: {model}}}\nroles: {{path: {bench}/desc.json, names: [Gaston]}}\n"
        f"data: {{path: {rows}, limit: {count}, held_out: 4}}\nevaluation: {{suites: []}}\n"
    )
    prompts = {"role": role.prompt, "unsafe": role.unsafe_prompt}
    assert compare(tmp_path, study, model, prompts, end) == count
