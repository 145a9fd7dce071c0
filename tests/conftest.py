"""Shared fixtures: one torch thread, no network, tiny random models of the three families."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of commands that tests start: two workers fill two cores

import pytest
import torch

torch.set_num_threads(1)

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
FAMILIES = ("llama", "qwen2", "gemma2")


def playsafe(*arguments: str) -> int:
    """Run the command line in this process, as its entry point does; returns the exit code."""
    from playsafe.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["playsafe", *arguments])
        try:
            main()
        except SystemExit as left:
            return int(left.code or 0)
    return 0


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data sets and tokenizers; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("REAL DATA ABSENT: no ../shared beside the checkout, this check did not run")
    return SHARED


def random_model(family: str, vocabulary: int = 320, **overrides: Any) -> Any:
    """A small random causal language model in float32, with weights large enough that outputs differ."""
    import transformers as hf

    sizes: dict[str, Any] = {
        "vocab_size": vocabulary,
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
    torch.manual_seed(0)
    if family == "llama":
        model = hf.LlamaForCausalLM(hf.LlamaConfig(**(sizes | {"tie_word_embeddings": False} | overrides)))
    elif family == "qwen2":
        model = hf.Qwen2ForCausalLM(hf.Qwen2Config(**(sizes | {"tie_word_embeddings": True} | overrides)))
    else:
        gemma = {
            "head_dim": 8,
            "sliding_window": 64,
            "query_pre_attn_scalar": 8,
            "final_logit_softcapping": 5.0,
        }
        model = hf.Gemma2ForCausalLM(hf.Gemma2Config(**(sizes | gemma | overrides)))
    return model.eval()


@pytest.fixture(params=FAMILIES)
def family_model(request: pytest.FixtureRequest) -> Any:
    return random_model(request.param)


@pytest.fixture(scope="session")
def tiny() -> Any:
    """The embedded model, loaded once; tests must leave it as they found it."""
    from playsafe.config import ModelConfig
    from playsafe.models.loading import load_aligned

    return load_aligned(ModelConfig(device="cpu"))


@pytest.fixture(scope="session")
def save_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a random model with a real tokenizer as a Hugging Face directory."""

    def save(family: str, tokenizer_dir: Path, **overrides: Any) -> Path:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir)
        small = {"hidden_size": 16, "intermediate_size": 32}
        model = random_model(family, len(tokenizer), **(small | overrides))
        out = tmp_path_factory.mktemp(family)
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)
        return out

    return save
