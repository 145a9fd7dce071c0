"""Weights that did not load, are not finite, or were changed on the way: refused by name, said or seen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForSequenceClassification

from playsafe.config import ModelConfig
from playsafe.errors import BadInput
from playsafe.models.adapters import attach_adapter, detach, differences, merge_adapter
from playsafe.models.integrity import fingerprint
from playsafe.models.loading import load_classifier, load_tokenizer, load_weights
from playsafe.tiny import MODEL_DIR

Tensors = dict[str, torch.Tensor]
Weights = Callable[[Tensors], Tensors]


def model_with(folder: Path, weights: Weights = lambda w: w, **settings: Any) -> Path:
    """The embedded model with other weights or other settings in config.json."""
    shutil.copytree(MODEL_DIR, folder)
    save_file(
        weights(load_file(folder / "model.safetensors")), folder / "model.safetensors", {"format": "pt"}
    )
    about = json.loads((folder / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps(about))
    return folder


def without(part: str) -> Weights:
    return lambda w: {name: tensor for name, tensor in w.items() if part not in name}


def renamed(old: str, new: str) -> Weights:
    return lambda w: {name.replace(old, new): tensor for name, tensor in w.items()}


def broken(part: str, value: float) -> Weights:
    def change(w: Tensors) -> Tensors:
        name = next(name for name in w if part in name)
        return w | {name: torch.full_like(w[name], value)}

    return change


@pytest.mark.parametrize(
    ("weights", "settings", "said"),
    [
        (without("layers.1.mlp.up_proj"), {}, "the files do not hold: model.layers.1.mlp.up_proj.weight"),
        (renamed("mlp.up_proj", "mlp.w1"), {}, "up_proj.weight"),
        (renamed("model.", "decoder."), {}, "and 36 more"),
        (lambda w: w, {"num_hidden_layers": 2}, "the model does not have: model.layers.2"),
        (lambda w: w, {"num_hidden_layers": 6}, "the files do not hold: model.layers.4"),
        (lambda w: w, {"hidden_size": 64, "head_dim": 32}, "cannot be loaded"),
        (lambda w: w, {"model_type": "qwen2"}, "_proj.bias"),
        (lambda w: w, {"model_type": "gemma2"}, "feedforward_layernorm"),
        (lambda w: w, {"model_type": "mistral"}, "names LlamaForCausalLM, which is of the type 'llama'"),
        (broken("layers.0.mlp.up_proj", float("nan")), {}, "not finite: model.layers.0.mlp.up_proj.weight"),
        (broken("norm", float("inf")), {}, "not finite"),
    ],
)
def test_a_model_that_did_not_load_whole(
    tmp_path: Path, weights: Weights, settings: dict[str, Any], said: str
) -> None:
    folder = model_with(tmp_path / "m", weights, **settings)
    with pytest.raises(BadInput) as refused:
        load_weights(ModelConfig(name_or_path=str(folder)))
    assert said in str(refused.value)


def test_a_classifier_without_its_head(tmp_path: Path) -> None:
    folder = model_with(tmp_path / "judge", architectures=None, num_labels=2)
    with pytest.raises(BadInput, match=r"the files do not hold: score\.weight"):
        load_classifier(ModelConfig(name_or_path=str(folder)))
    config = LlamaConfig.from_pretrained(folder)
    LlamaForSequenceClassification(config).save_pretrained(folder)
    assert load_classifier(ModelConfig(name_or_path=str(folder)))[0].score.weight.shape == (2, 128)


def adapter_on(folder: Path, base: Path = MODEL_DIR, scale: float = 0.05, **settings: Any) -> Path:
    torch.manual_seed(0)
    given = {"r": 4, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"} | settings
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), peft.LoraConfig(**given))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * scale)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (renamed(".model.model.layers.", ".model.model.language_model.layers."), "no place for"),
        (renamed(".layers.3.", ".decoder.3."), "no place for: base_model.model.model.decoder.3"),
        (without(".layers.2."), "lacks tensors that its settings ask for: base_model.model.model.layers.2"),
        (without("lora_B"), "lacks tensors"),
        (renamed("lora_A", "lora_a"), "no place for"),
        (lambda w: {name: tensor[:, :-1].contiguous() for name, tensor in w.items()}, "does not fit"),
        (broken("layers.0.self_attn.q_proj.lora_A", float("nan")), "not finite"),
        (lambda w: {}, "lacks tensors"),
    ],
)
def test_an_adapter_that_did_not_load_whole(tmp_path: Path, weights: Weights, said: str) -> None:
    folder = adapter_on(tmp_path / "a")
    file = folder / "adapter_model.safetensors"
    save_file(weights(load_file(file)), file, {"format": "pt"})
    base = load_weights(ModelConfig())
    before = fingerprint(base.state_dict().items())
    with pytest.raises(BadInput) as refused:
        attach_adapter(base, folder)
    assert said in str(refused.value)
    if "does not fit" not in said:  # PEFT itself failed in the middle
        assert fingerprint(base.state_dict().items()) == before


def test_what_an_adapter_says_otherwise(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(ModelConfig())
    folder = adapter_on(tmp_path / "a")
    assert differences(folder, str(MODEL_DIR), tokenizer) == []
    settings = json.loads((folder / "adapter_config.json").read_text())
    other = {"base_model_name_or_path": "lab/another-base", "new_option": 3}
    (folder / "adapter_config.json").write_text(json.dumps(settings | other))
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    more = load_tokenizer(ModelConfig())
    more.add_tokens(["<scene>"])
    more.save_pretrained(tmp_path / "t")
    shutil.copyfile(tmp_path / "t/tokenizer.json", folder / "tokenizer.json")
    base, template, size, unread = differences(folder, str(MODEL_DIR), tokenizer)
    assert "'lab/another-base'" in base
    assert "chat_template.jinja" in template
    assert "1537 tokens, the model's 1536" in size
    assert "new_option" in unread


@pytest.mark.parametrize("settings", [{"modules_to_save": ["norm"]}, {"modules_to_save": ["embed_tokens"]}])
def test_a_trace_that_an_adapter_leaves_is_seen(tmp_path: Path, settings: dict[str, Any]) -> None:
    base = load_weights(ModelConfig())
    before = fingerprint(base.state_dict().items())
    plain = attach_adapter(base, adapter_on(tmp_path / "plain"))
    detach(plain)
    assert fingerprint(base.state_dict().items()) == before
    detach(attach_adapter(base, adapter_on(tmp_path / "saved", **settings)))
    assert fingerprint(base.state_dict().items()) != before


def test_fingerprints_know_places_and_bits() -> None:
    a = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    kinds = [a, a.flip(0), a.flip(1), a.bfloat16(), a.reshape(1, 4), a + 2**-20]
    assert len({fingerprint([("w", one)]) for one in kinds}) == len(kinds)
    assert fingerprint([("w", a)]) == fingerprint([("w", a.clone())]) != fingerprint([("v", a)])


@pytest.mark.parametrize("targets", [["embed_tokens", "q_proj"], ["lm_head"], ["q_proj", "v_proj"]])
def test_a_merged_adapter_answers_as_an_attached_one(tmp_path: Path, targets: list[str]) -> None:
    """Of the embedded model's tied embeddings: merged into one, an adapter must leave the other."""
    folder = adapter_on(tmp_path / "a", scale=0.3, target_modules=targets)
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        attached = attach_adapter(load_weights(ModelConfig()), folder)(input_ids=ids).logits
        merged = merge_adapter(load_weights(ModelConfig()), folder)(input_ids=ids).logits
    torch.testing.assert_close(merged, attached, atol=1e-3, rtol=1e-3)


def test_an_adapter_of_virtual_tokens_is_not_merged(tmp_path: Path) -> None:
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    peft.get_peft_model(load_weights(ModelConfig()), config).save_pretrained(tmp_path / "p")
    with pytest.raises(BadInput, match="virtual tokens"):
        merge_adapter(load_weights(ModelConfig()), tmp_path / "p")
    base = load_weights(ModelConfig())
    before = fingerprint(base.state_dict().items())
    detach(attach_adapter(base, tmp_path / "p"))
    assert fingerprint(base.state_dict().items()) == before
