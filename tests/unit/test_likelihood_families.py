"""Likelihoods of every architecture that can be built small equal the model's own plain forward; so do those
of a model with an adapter, wherever it sits. A padded batch generates what each prompt generates alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers as hf
from test_scoring import oracle, rows

from playsafe.likelihood import logprobs, plain, shared, way_of

COMMON: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "initializer_range": 0.3,
    "eos_token_id": 1,
    "bos_token_id": 0,
    "pad_token_id": 2,
}
LINEAR = {
    "head_dim": 8,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
}
MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
SMALL = {"vocab_size": 320, "eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 2}
GPT = SMALL | {"n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3}
OPT = {"ffn_dim": 64, "word_embed_proj_dim": 16, "init_std": 0.3}
BUILD: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", COMMON),
    "mistral": ("MistralForCausalLM", "MistralConfig", COMMON | {"sliding_window": 16}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", COMMON),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", COMMON | {"head_dim": 8}),
    "gemma2": (
        "Gemma2ForCausalLM",
        "Gemma2Config",
        COMMON | {"head_dim": 8, "sliding_window": 16, "query_pre_attn_scalar": 8},
    ),
    "gemma3": (
        "Gemma3ForCausalLM",
        "Gemma3TextConfig",
        COMMON | {"head_dim": 8, "sliding_window": 16, "query_pre_attn_scalar": 8},
    ),
    "phi3": ("Phi3ForCausalLM", "Phi3Config", COMMON | {"sliding_window": 16}),
    "cohere2": ("Cohere2ForCausalLM", "Cohere2Config", COMMON | {"sliding_window": 16, "logit_scale": 0.25}),
    "granite": (
        "GraniteForCausalLM",
        "GraniteConfig",
        COMMON | {"logits_scaling": 4.0, "embedding_multiplier": 2.0},
    ),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", GPT),
    "opt": ("OPTForCausalLM", "OPTConfig", {**COMMON, **OPT}),
    "bloom": (
        "BloomForCausalLM",
        "BloomConfig",
        SMALL | {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3},
    ),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", COMMON | {"num_local_experts": 4}),
    "gpt_oss": (
        "GptOssForCausalLM",
        "GptOssConfig",
        COMMON | {"head_dim": 8, "sliding_window": 16, "num_local_experts": 4, "num_experts_per_tok": 2},
    ),
    "qwen3_next": (
        "Qwen3NextForCausalLM",
        "Qwen3NextConfig",
        COMMON | LINEAR | EXPERTS | {"shared_expert_intermediate_size": 16},
    ),
    "qwen3_5": ("Qwen3_5ForCausalLM", "Qwen3_5TextConfig", COMMON | LINEAR),
    "lfm2": (
        "Lfm2ForCausalLM",
        "Lfm2Config",
        COMMON
        | {"block_ff_dim": 64, "block_auto_adjust_ff_dim": False, "layer_types": ["conv", "full_attention"]},
    ),
    "falcon_h1": (
        "FalconH1ForCausalLM",
        "FalconH1Config",
        COMMON | MAMBA | {"mamba_d_ssm": 64, "mamba_n_groups": 1, "head_dim": 8},
    ),
    "falcon_mamba": (
        "FalconMambaForCausalLM",
        "FalconMambaConfig",
        SMALL | {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "initializer_range": 0.3},
    ),
    "granite_hybrid": (
        "GraniteMoeHybridForCausalLM",
        "GraniteMoeHybridConfig",
        COMMON
        | MAMBA
        | {
            "layer_types": ["mamba", "attention"],
            "mamba_expand": 2,
            "num_local_experts": 2,
            "num_experts_per_tok": 1,
            "shared_intermediate_size": 32,
        },
    ),
}
STATEFUL = {"qwen3_next", "qwen3_5", "lfm2", "falcon_h1", "falcon_mamba", "granite_hybrid"}


def built(family: str) -> Any:
    name, config, sizes = BUILD[family]
    torch.manual_seed(0)
    return getattr(hf, name)(getattr(hf, config)(**sizes)).eval()


@pytest.mark.parametrize("family", BUILD)
def test_equal_to_plain_forwards(family: str) -> None:
    model, data = built(family), rows(5)
    truth = [oracle(model, row) for row in data]
    for budget in (8192, 1):  # together, and one row a batch
        found = logprobs(model, data, tokens_per_batch=budget)
        assert [one.sum for one in found] == pytest.approx(truth, abs=1e-4)
    # a state that is carried along cannot be shared; what has keys and values alone can
    assert (way_of(model, data) is shared) == (family not in STATEFUL)


@pytest.mark.parametrize("family", sorted(STATEFUL | {"gpt2", "bloom", "gemma3"}))
def test_padding_changes_no_reply(family: str) -> None:
    model = built(family)
    prompts = [torch.randint(3, 320, (n,)).tolist() for n in (4, 19, 11)]
    width = max(map(len, prompts))
    ids = torch.tensor([[2] * (width - len(p)) + p for p in prompts])
    attention = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    how = hf.GenerationConfig(do_sample=False, max_new_tokens=8, pad_token_id=2, eos_token_id=1)
    together = model.generate(input_ids=ids, attention_mask=attention, generation_config=how)[:, width:]
    for prompt, reply in zip(prompts, together.tolist(), strict=True):
        said: list[int] = []
        while len(said) < 8 and said[-1:] != [1]:  # greedy, by full forwards
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([prompt + said]), use_cache=False).logits
            said.append(int(logits[0, -1].argmax()))
        assert reply[: len(said)] == said


class Sharper(hf.LlamaForCausalLM):
    """An architecture that does something of its own between the head and its logits."""

    def forward(self, *args: Any, **inputs: Any) -> Any:
        out = super().forward(*args, **inputs)
        out.logits = out.logits * 1.5
        return out


def test_an_architecture_that_nobody_knows_is_read_by_its_own_forward() -> None:
    torch.manual_seed(0)
    model, data = Sharper(hf.LlamaConfig(**COMMON)).eval(), rows(4)
    assert way_of(model, data) is plain
    truth = [oracle(model, row) for row in data]
    assert [one.sum for one in logprobs(model, data)] == pytest.approx(truth, abs=1e-4)


Q = ["q_proj", "v_proj"]
ADAPTERS: dict[str, Any] = {
    "head": peft.LoraConfig(target_modules=["q_proj", "lm_head"], task_type="CAUSAL_LM"),
    "embeddings": peft.LoraConfig(target_modules=["q_proj", "embed_tokens"], task_type="CAUSAL_LM"),
    "saved head": peft.LoraConfig(target_modules=Q, modules_to_save=["lm_head"], task_type="CAUSAL_LM"),
    "tokens": peft.LoraConfig(target_modules=Q, trainable_token_indices=[5, 6, 7], task_type="CAUSAL_LM"),
    "dora": peft.LoraConfig(target_modules=Q, use_dora=True, task_type="CAUSAL_LM"),
    "virtual tokens": peft.PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"),
    "prefix": peft.PrefixTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"),
    "ia3": peft.IA3Config(
        target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM"
    ),
}


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapter_counts_wherever_it_sits(kind: str, tied: bool) -> None:
    torch.manual_seed(0)
    base = hf.LlamaForCausalLM(hf.LlamaConfig(**COMMON, tie_word_embeddings=tied)).eval()
    data = rows(4)
    before = [oracle(base, row) for row in data]
    model = peft.get_peft_model(base, ADAPTERS[kind]).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.3)
    with torch.no_grad():  # the reply's predictions, counted from the end: virtual tokens stand in front
        truth = plain(model, data, 0)
        for row, own in zip(data, truth, strict=True):
            n = sum(row.reply_mask)
            logits = model(input_ids=torch.tensor([row.ids])).logits[0, -n - 1 : -1].double()
            said = logits.log_softmax(-1).gather(1, torch.tensor(row.ids[-n:])[:, None]).sum()
            assert own == pytest.approx(float(said), abs=1e-4)
    assert [one.sum for one in logprobs(model, data)] == pytest.approx(truth, abs=1e-4)
    assert truth != pytest.approx(before, abs=1e-2)


def test_logits_that_are_not_finite_are_no_numbers(tmp_path: Path) -> None:
    model = built("llama")
    with torch.no_grad():
        model.model.norm.weight.fill_(float("inf"))
    with pytest.raises(Exception, match="not finite"):
        logprobs(model, rows(2))
