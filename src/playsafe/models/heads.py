"""What lies between the final hidden state and a logit, for every supported family."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from playsafe.errors import BadInput, CheckFailed


class Head(NamedTuple):
    """Language-model head: weight_VD [vocabulary, hidden], Gemma-2's softcap, a factor on the logits."""

    weight_VD: Tensor
    bias_V: Tensor | None
    softcap: float | None
    scale: float

    def frozen(self) -> Head:
        """A detached copy; an alias would follow the training."""
        bias = self.bias_V.detach().clone() if self.bias_V is not None else None
        return Head(self.weight_VD.detach().clone(), bias, self.softcap, self.scale)

    def logits(self, hidden_ND: Tensor) -> Tensor:
        logits = nn.functional.linear(hidden_ND, self.weight_VD, self.bias_V) * self.scale
        return torch.tanh(logits / self.softcap) * self.softcap if self.softcap else logits


def causal_lm(model: Any) -> Any:
    """The causal language model inside a PEFT wrapper, or the model itself. CheckFailed where the adapter
    does not lie in its layers."""
    if not hasattr(model, "peft_config"):
        return model
    if model.active_peft_config.is_prompt_learning:
        raise CheckFailed("the adapter is one of virtual tokens.", where=type(model).__name__)
    return model.get_base_model()


def head_of(model: Any) -> Head:
    """The head; CheckFailed where an adapter sits on it, which its weight does not show."""
    inner = causal_lm(model)
    config = inner.config.get_text_config()
    output = inner.get_output_embeddings()
    if hasattr(output, "base_layer") or hasattr(output, "token_adapter"):
        raise CheckFailed("an adapter sits on the language-model head.", where=type(inner).__name__)
    scale = float(getattr(config, "logit_scale", 1.0) or 1.0) / float(
        getattr(config, "logits_scaling", 1.0) or 1.0
    )
    return Head(
        output.weight, getattr(output, "bias", None), getattr(config, "final_logit_softcapping", None), scale
    )


def refuse_on_head(model: Any) -> None:
    """BadInput where the model under training has an adapter on its head."""
    try:
        head_of(model)
    except CheckFailed as error:
        raise BadInput(
            f"{error.what} The loss works on the head's own weight.",
            where="training.lora.target_modules",
            next="Name modules of the decoder's layers, for example [q_proj, v_proj].",
        ) from None


def hidden_states(model: Any, ids_BT: Tensor, attention_BT: Tensor, **more: Any) -> Any:
    """Output of the decoder: `last_hidden_state` [B, T, D] after the final norm.

    Positions are counted from the first attended token, so that the padding side does not matter.
    """
    positions = more.pop("position_ids", None)
    if positions is None:
        first_B1 = attention_BT.long().argmax(dim=1, keepdim=True)
        positions = (torch.arange(ids_BT.shape[1], device=ids_BT.device) - first_B1).clamp(min=0)
    return causal_lm(model).get_decoder()(
        input_ids=ids_BT, attention_mask=attention_BT, position_ids=positions, **{"use_cache": False, **more}
    )


@torch.no_grad()
def check_head(model: Any, ids_BT: Tensor) -> None:
    """Self-check: head(hidden state) equals the model's own logits, else our losses would be wrong."""
    attention = torch.ones_like(ids_BT)
    own = causal_lm(model)(input_ids=ids_BT, attention_mask=attention, use_cache=False).logits.float()
    ours = head_of(model).logits(hidden_states(model, ids_BT, attention).last_hidden_state).float()
    error = (own - ours).abs().max().item()
    tolerance = (
        1e-3 if own.dtype == torch.float32 and next(model.parameters()).dtype == torch.float32 else 0.1
    )
    if not error <= tolerance * max(1.0, own.abs().max().item()):
        raise CheckFailed(
            f"logits rebuilt from hidden states differ from the model's own by {error:.3g}.",
            where=type(causal_lm(model)).__name__,
            next="This architecture scales its logits in a way playsafe does not know; please report it.",
        )
