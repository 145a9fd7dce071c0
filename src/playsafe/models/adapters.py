"""PEFT adapters on the aligned model: attached whole or refused by name, merged faithfully, taken off."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from playsafe.errors import BadInput
from playsafe.limits import limited
from playsafe.models.integrity import listed, refuse_infinite, refuse_no_settings
from playsafe.provenance import file_hash
from playsafe.rundir import read_json

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
SECONDS = 5.0  # for all of an adapter's regular expressions on all modules; real ones take milliseconds
# initialisations that change the base weights, so that "adapter off" is not the original model
BASE_CHANGING_INITS = ("pissa", "olora", "corda", "kasa", "loftq", "eva", "lora_ga")


def attach_adapter(model: Any, directory: Path) -> Any:
    """A PEFT model with the adapter of `directory`, in eval mode.

    Raises BadInput: no adapter, one that rests on changed base weights, weights that are not finite, that the
    model has no place for, or that the adapter's own settings ask for and the file does not hold.
    """
    from peft import PeftModel
    from safetensors.torch import load_file

    settings = check_adapter(directory)
    refuse_endless(settings, [name for name, _ in model.named_modules()], str(directory / SETTINGS))
    try:
        stored = load_file(directory / WEIGHTS)
        refuse_infinite(stored.items(), str(directory / WEIGHTS))
        wrapped = PeftModel.from_pretrained(model, str(directory)).eval()
    except BadInput:
        raise
    except Exception as error:  # files of somebody's, read by libraries that raise whatever they meet
        raise BadInput(
            f"the adapter does not fit the model: {_mismatch(error)}",
            where=str(directory),
            next=f"It names {settings.get('base_model_name_or_path')!r} as its base.",
        ) from None
    try:
        _refuse_lost(wrapped, stored, directory)
    except BadInput:
        detach(wrapped)
        raise
    return wrapped


def check_adapter(directory: Path) -> dict[str, Any]:
    """The settings of an adapter. BadInput for what shows without a model: files that are not there or are
    broken, an initialisation that changed the base."""
    from safetensors import SafetensorError, safe_open

    settings = adapter_settings(directory)
    refuse_base_changing(settings.get("init_lora_weights"), str(directory))
    if (task := settings.get("task_type")) not in (None, "CAUSAL_LM"):
        what = f"the adapter is made for the task {str(task)[:40]!r}, and a chat model writes text."
        raise BadInput(what, where=str(directory), allowed="CAUSAL_LM")
    if not (directory / WEIGHTS).is_file():
        raise BadInput(
            f"no {WEIGHTS}.",
            where=str(directory),
            next="playsafe reads no pickled weights; save the adapter with safe_serialization.",
        )
    try:
        with safe_open(directory / WEIGHTS, "pt"):
            return settings
    except (SafetensorError, OSError) as error:
        raise BadInput(f"broken weights: {error}", where=str(directory / WEIGHTS)) from None


def refuse_endless(settings: Mapping[str, Any], modules: Sequence[str], where: str) -> None:
    """Refuse regular expressions that are none, or with which a search of a model's modules never ends."""
    given = [settings.get(key) for key in ("target_modules", "exclude_modules")]
    whole = [pattern for pattern in given if isinstance(pattern, str)]
    parts = [*(settings.get("rank_pattern") or ()), *(settings.get("alpha_pattern") or ())]
    layers = settings.get("layers_pattern") or ()
    parts += [layers] if isinstance(layers, str) else list(layers)
    try:
        with limited(SECONDS, "a regular expression", where):
            for pattern in [*whole, *(rf"(.*\.)?({part})$" for part in parts)]:
                made = re.compile(pattern)
                for name in modules:
                    made.match(name)
                    made.fullmatch(name)
    except (re.error, RecursionError, OverflowError, TypeError) as error:
        raise BadInput(f"a pattern is no regular expression: {error}.", where=where) from None


def detach(model: Any) -> None:
    """Take an adapter off the model that it was attached to."""
    if hasattr(model.base_model, "unload"):  # an adapter of virtual tokens stands beside the model
        model.base_model.unload()


def merge_adapter(model: Any, directory: Path) -> Any:
    """The model with the adapter in its weights; BadInput where its logits differ from those before."""
    wrapped = attach_adapter(model, directory)
    if not hasattr(wrapped.base_model, "merge_and_unload"):
        raise BadInput(
            "an adapter of virtual tokens cannot be merged.",
            where=str(directory),
            next="Evaluate it as a target instead (--adapter NAME=DIR).",
        )
    _untie(model)
    ids_1T = torch.arange(1, 9, device=model.device)[None]
    apart = _logits(wrapped, ids_1T)
    try:
        merged = wrapped.merge_and_unload()
    except ValueError as error:
        raise BadInput(f"the adapter cannot be merged: {error}", where=str(directory)) from None
    differ = (_logits(merged, ids_1T) - apart).abs().max().item()
    tolerance = (1e-3 if merged.dtype == torch.float32 else 0.1) * max(1.0, apart.abs().max().item())
    if not differ <= tolerance:
        raise BadInput(
            f"merged into the model, the adapter gives other logits than attached to it (by {differ:.3g}).",
            where=str(directory),
            next="Evaluate it as a target instead (--adapter NAME=DIR).",
        )
    return merged


def changes_base(init: Any) -> bool:
    """Whether an initialisation of LoRA changes the weights that it is put on."""
    return isinstance(init, str) and init.lower().startswith(BASE_CHANGING_INITS)


def refuse_base_changing(init: Any, where: str) -> None:
    """Refuse adapters whose initialisation changed the base weights: switched off, they are no reference."""
    if changes_base(init):
        raise BadInput(
            f"init_lora_weights={init!r} changes the base weights: with the adapter off the model is not the "
            "original one, so there is no reference policy.",
            where=where,
            allowed="true, 'gaussian', 'orthogonal'",
            next="Merge the adapter into its base and use the merged model.",
        )


def adapter_settings(directory: Path) -> dict[str, Any]:
    """adapter_config.json; BadInput where there is none."""
    if not (directory / SETTINGS).is_file():
        raise BadInput(f"no {SETTINGS}.", where=str(directory), next="Point at a PEFT adapter directory.")
    refuse_no_settings(directory / SETTINGS)
    return dict(read_json(directory / SETTINGS))


def differences(directory: Path, base: str, tokenizer: Any) -> list[str]:
    """What an adapter says of itself that is otherwise here: its base, its tokenizer, settings nobody reads.

    base: name or directory of the model that it is put on, whose tokenizer is given.
    """
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftType

    settings, found = adapter_settings(directory), []
    named = str(settings.get("base_model_name_or_path") or "")
    if named and not _same_model(named, base):
        found.append(f"it was trained on {named!r}, not on {base!r}")
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        template = _template(directory / name)
        if template is not None and template.strip() != str(tokenizer.chat_template or "").strip():
            found.append(f"the chat template beside it ({name}) differs from the model's, which is used")
            break
    tokens = directory / "tokenizer.json"
    if tokens.exists() and (added := _vocabulary(tokens)) and added != len(tokenizer):
        found.append(f"its tokenizer knows {added} tokens, the model's {len(tokenizer)}")
    kind = settings.get("peft_type")
    known = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(kind)].__dataclass_fields__ if kind in [*PeftType] else {}
    unread = [key for key in settings if known and key not in known and not key.startswith("_")]
    if unread:
        found.append(f"its settings {listed(unread)} are unknown to this version of PEFT and have no effect")
    return found


# --- details ------------------------------------------------------------------------------------------


def _refuse_lost(wrapped: Any, stored: Mapping[str, Tensor], directory: Path) -> None:
    """Every tensor of the file is in the model, and every one of the adapter came from the file."""
    from peft import get_peft_model_state_dict

    own = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    whole = wrapped.state_dict()
    lost = [name for name in stored if name not in own and name not in whole]
    absent = [name for name in own if name not in stored]
    loaded = {name: own[name] if name in own else whole[name] for name in stored if name not in lost}
    other = [n for n, t in loaded.items() if t.shape != stored[n].shape or not _equal(t, stored[n])]
    for what, names in (
        ("has tensors that the model has no place for", lost),
        ("lacks tensors that its settings ask for", absent),
        ("has tensors that did not load", other),
    ):
        if names:
            raise BadInput(
                f"the adapter {what}: {listed(names)}.",
                where=str(directory / WEIGHTS),
                next="It was made for another model, or for another version of it; save it again there.",
            )


def _equal(loaded: Tensor, stored: Tensor) -> bool:
    return torch.equal(loaded.to(stored.device, stored.dtype), stored)


def _untie(model: Any) -> None:
    """Merged into one of two tied embeddings, an adapter would change the other one too."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    inner = [_innermost(end) for end in ends]
    adapted = any(isinstance(end, (BaseTunerLayer, AuxiliaryTrainingWrapper)) for end in ends)
    if adapted and inner[0].weight is inner[1].weight:
        inner[1].weight = nn.Parameter(inner[1].weight.detach().clone(), requires_grad=False)
        model.config.tie_word_embeddings = False


def _innermost(module: Any) -> Any:
    for name in ("base_layer", "original_module"):
        module = getattr(module, name, module)
    return module


@torch.no_grad()
def _logits(model: Any, ids_1T: Tensor) -> Tensor:
    return model(input_ids=ids_1T, attention_mask=torch.ones_like(ids_1T), use_cache=False).logits.float()


def _mismatch(error: Exception) -> str:
    """The line that says what does not fit; PyTorch's first line only says where."""
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    return next((line for line in lines if line.startswith(("size mismatch", "Missing"))), lines[0])[:300]


def _same_model(named: str, base: str) -> bool:
    """Whether two names mean the same model: the same directory, the same last part, or the same weights."""
    a, b = Path(named).expanduser(), Path(base).expanduser()
    if named == base or a.name == b.name:
        return True
    files = [sorted(place.glob("*.safetensors")) for place in (a, b)]
    return all(files) and [file_hash(f) for f in files[0]] == [file_hash(f) for f in files[1]]


def _template(path: Path) -> str | None:
    if not path.exists():
        return None
    if path.suffix == ".jinja":
        return path.read_text(encoding="utf-8")
    found = read_json(path).get("chat_template")
    return found if isinstance(found, str) else None


def _vocabulary(path: Path) -> int:
    tokens = read_json(path)
    ids = [*((tokens.get("model") or {}).get("vocab") or {}), *(t["content"] for t in tokens["added_tokens"])]
    return len(set(ids))
