"""What a base model can be trained as: a language model, or a classifier with a head; read from its config alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from lope_train.errors import ModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Head = Literal["lm", "classification"]


def is_encoder(config: PretrainedConfig) -> bool:
    """Whether the model reads a text both ways and was pretrained by filling gaps (BERT and its kin)."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING

    return (
        type(config) in MODEL_FOR_MASKED_LM_MAPPING
        and not config.is_encoder_decoder
        and not getattr(config, "is_decoder", False)
    )


def head_of(name: str, config: Any, asked: Head | None) -> Head:
    """The head that the model `name` with this config is trained with: of an encoder a classification head, of others
    what was asked, a language model's where nothing was. Raises ModelError where it cannot have it.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    encoder = is_encoder(config)
    if encoder and asked == "lm":
        raise ModelError(
            f"{name} is an encoder ({config.model_type}), which cannot be trained as a language model: leave --head "
            "out, and train it on classification rows"
        )
    head = asked or ("classification" if encoder else "lm")
    if head == "classification" and config.is_encoder_decoder:
        raise ModelError(f"{name} is an encoder-decoder, which takes no classification head here; leave --head out")
    if head == "classification" and type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise ModelError(f"{name}: transformers has no classification head for models of type {config.model_type!r}")
    return head
