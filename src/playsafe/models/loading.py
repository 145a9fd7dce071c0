"""Base models, classifiers and tokenizers from disk or hub: whole, finite, or refused by name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
)

from playsafe.config import ModelConfig
from playsafe.config.paths import home
from playsafe.data.chat import ChatRenderer
from playsafe.errors import BadInput, in_words
from playsafe.models.adapters import merge_adapter
from playsafe.models.integrity import (
    refuse_infinite,
    refuse_no_settings,
    refuse_other_architecture,
    refuse_unloaded,
)
from playsafe.provenance import model_hash
from playsafe.tiny import MODEL_DIR

LAYERS = 10_000  # in a model that can be made before anybody dies


@dataclass
class Aligned:
    """The aligned chat model: weights, renderer and the hash that names them."""

    model: PreTrainedModel
    tokenizer: Any
    renderer: ChatRenderer
    config: ModelConfig
    weights_hash: str

    @property
    def device(self) -> torch.device:
        return self.model.device


def resolve(name_or_path: str) -> str:
    """'tiny' becomes the embedded model's directory; a path that looks local must exist."""
    if name_or_path == "tiny":
        return str(MODEL_DIR)
    looks_local = name_or_path.startswith((".", "/", "~")) or name_or_path.count("/") > 1
    path = Path(home(name_or_path, "model"))
    if path.is_dir():
        if not (path / "config.json").exists():
            raise BadInput(
                "the directory holds no config.json.",
                where=name_or_path,
                next="Point at a Hugging Face model directory.",
            )
        return str(path)
    if looks_local or path.exists():
        raise BadInput("no such model directory.", where=name_or_path, next="Check model.name_or_path.")
    return name_or_path


def load_tokenizer(config: ModelConfig) -> Any:
    source = resolve(config.name_or_path)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        refuse_no_settings(Path(source) / name)
    try:
        return AutoTokenizer.from_pretrained(
            source, revision=config.revision, trust_remote_code=config.trust_remote_code
        )
    except Exception as error:  # files of somebody's, read by a library that raises whatever it meets
        raise BadInput(
            f"the tokenizer cannot be loaded: {_first_line(error)}",
            where=config.name_or_path,
            next="Check the name, or download the model first (HF_HUB_OFFLINE forbids it).",
        ) from None


def load_weights(config: ModelConfig) -> PreTrainedModel:
    """A fresh copy of the aligned model in eval mode, with `config.adapter` merged in."""
    options: dict[str, Any] = {"trust_remote_code": config.trust_remote_code}
    if config.attn_implementation:
        options["attn_implementation"] = config.attn_implementation
    model = _read(AutoModelForCausalLM, "model", config, **options)
    if config.adapter:
        model = merge_adapter(model, Path(config.adapter))
    return _placed(model, config)


def load_classifier(config: ModelConfig) -> tuple[PreTrainedModel, Any]:
    """A sequence classifier in eval mode and its tokenizer."""
    model = _read(AutoModelForSequenceClassification, "classifier", config)
    return _placed(model, config), load_tokenizer(config)


def _read(family: Any, what: str, config: ModelConfig, **options: Any) -> PreTrainedModel:
    """The weights as they are stored, by one of transformers' automatic families."""
    source = resolve(config.name_or_path)
    if config.revision is not None and Path(source).is_dir():
        raise BadInput(
            "a directory has no revisions.", where="model.revision", next="Remove the key, or name a hub id."
        )
    for name in ("config.json", "generation_config.json"):
        refuse_no_settings(Path(source) / name)
    shared = {"dtype": config.dtype, "revision": config.revision, "use_safetensors": True}
    try:
        described = AutoConfig.from_pretrained(
            source, revision=config.revision, trust_remote_code=config.trust_remote_code
        )
        layers = getattr(described.get_text_config(), "num_hidden_layers", 0)
        if isinstance(layers, int) and layers > LAYERS:
            raise ValueError(f"config.json asks for {layers:.3g} layers")
        model, info = family.from_pretrained(source, output_loading_info=True, **shared, **options)
    except Exception as error:  # as above
        raise BadInput(
            f"the {what} cannot be loaded: {_first_line(error)}",
            where=config.name_or_path,
            next="playsafe reads safetensors; check the name and the files.",
        ) from None
    refuse_unloaded(info, config.name_or_path)
    refuse_other_architecture(model, config.name_or_path)
    refuse_infinite(model.state_dict().items(), config.name_or_path)
    return model


def _placed(model: PreTrainedModel, config: ModelConfig) -> PreTrainedModel:
    device = _device(config.device)
    try:
        model.to(device)  # type: ignore[arg-type]
    except (RuntimeError, AssertionError) as error:
        raise BadInput(
            f"the model cannot be put on {device!r}: {_first_line(error)}",
            where="model.device",
            allowed="auto, cpu, cuda, cuda:0, mps",
        ) from None
    return model.eval()


def placement(config: ModelConfig) -> dict[str, Any]:
    """What names a model and where it computes, without its weights being read."""
    source = Path(resolve(config.name_or_path))
    found = config.model_dump(exclude={"name_or_path", "revision", "adapter", "template"})
    found |= {"template": config.template} if config.template else {}
    found["device"] = torch.device(_device(config.device)).type
    found["adapter"] = config.adapter and model_hash(Path(config.adapter))
    if source.is_dir():
        return {"weights": model_hash(source), **found}
    try:
        commit = AutoConfig.from_pretrained(
            str(source), revision=config.revision, trust_remote_code=config.trust_remote_code
        )._commit_hash
    except Exception as error:  # as above
        raise BadInput(
            f"the model cannot be loaded: {_first_line(error)}", where=config.name_or_path
        ) from None
    return {"weights": f"{config.name_or_path}@{commit}", **found}


def load_aligned(config: ModelConfig, *, chat_template: str | None = None) -> Aligned:
    """Model, tokenizer and renderer; BadInput when one of them cannot be used.

    chat_template: Jinja text that takes the place of the tokenizer's own.
    """
    tokenizer = load_tokenizer(config)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    ChatRenderer(tokenizer, arguments=config.template)  # refuses a template before weights are read
    model = load_weights(config)
    stop = model.generation_config.eos_token_id if model.generation_config else None
    stop_ids = stop if isinstance(stop, list) else [stop] if stop is not None else []
    rows = len(model.get_input_embeddings().weight)  # type: ignore[arg-type]
    renderer = ChatRenderer(tokenizer, stop_ids, arguments=config.template, vocabulary=rows)
    return Aligned(model, tokenizer, renderer, config, _weights_hash(config, model))


def _device(name: str) -> str:
    """The named device; "auto" is this process's GPU where there is one."""
    if name != "auto":
        return name
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"


def _weights_hash(config: ModelConfig, model: PreTrainedModel) -> str:
    source = Path(resolve(config.name_or_path))
    named = model_hash(source) if source.is_dir() else f"{config.name_or_path}@{model.config._commit_hash}"
    return f"{named}+{model_hash(Path(config.adapter))}" if config.adapter else named


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    if isinstance(error, KeyError):
        return f"there is no {lines[0][:300]}"
    if isinstance(error, (UnicodeDecodeError, RecursionError)):
        return in_words(error)
    named = "" if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: "
    return f"{named}{lines[0][:300]}"
