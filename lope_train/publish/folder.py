"""`export`: a run as a folder that peft and the hub know, with a card that says what it is, and sending it there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lope_common.files import new_folder, sha256_of
from lope_common.hub import check_push, pushing
from lope_common.places import local_path, typed_path
from lope_train.errors import LopeTrainError, RunError
from lope_train.inspection.parameters import Count, count
from lope_train.publish.card import Card, card, hub_id
from lope_train.runs.adapter import CONFIG, RUN, WEIGHTS, read_json, read_run, write_json
from lope_train.settings.settings import TrainSettings

README = "README.md"
LOCAL = "(a local path)"
"""What stands in an export for a path of the machine that it was made on."""

# An absolute path, by itself or in a text: of POSIX, of Windows, or as a URL.
_WHOLE = re.compile(r"\s*(?:file:|[/~]|\\\\|[A-Za-z]:[\\/])")
_WITHIN = re.compile(
    r"""file:/\S+ | (?<![\w:/.~-])(?:~[\w.-]*)?/[^\s'",;|]+ | (?<!\w)[A-Za-z]:[\\/](?!/)[^\s'",;|]* | \\\\\S+""",
    re.VERBOSE,
)


def export(run: Path, out: Path) -> Path:
    """Write the run into the new folder `out`, whole or not at all: adapter, model card and record.

    The adapter's values are copied and checked; paths of this machine are left out of its config and of the record.
    Raises RunError where the run is not whole, or where `out` is taken or cannot be written.
    """
    run, out = typed_path(run), local_path(out, "out", RunError)
    if out.is_dir() and any(out.iterdir()):
        raise RunError(f"{out}: is not empty; name a new folder")
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is a file; name a new folder")
    record = read_run(run)
    config = read_json(run / CONFIG)
    _check_weights(run / WEIGHTS)
    public: dict[str, Any] = without_local_paths(record)
    if "classes" in record:  # labels of rows, of which none is a path, whatever it looks like
        public["classes"] = record["classes"]
    described = card(Card(public, config, record["model"], _count(record)))
    try:
        with new_folder(out) as folder:
            _copy(run / WEIGHTS, folder / WEIGHTS)
            base = hub_id(record["model"])
            write_json(folder / CONFIG, {**without_local_paths(config), "base_model_name_or_path": base})
            write_json(folder / RUN, public)
            (folder / README).write_text(described, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error}") from error
    return out


def push(folder: Path, hub_id: str, private: bool) -> str:
    """Send what `export` wrote to a model repository, which is made if there is none; returns its address.

    The endpoint and the token are those of `huggingface_hub` (`HF_ENDPOINT`, `HF_TOKEN`, or what `hf auth login`
    keeps). Raises RunError where there is no token, or one that may not, or no network.
    """
    from huggingface_hub import HfApi

    check_push(hub_id, RunError)
    api = HfApi()
    with pushing(hub_id, RunError):
        address = str(api.create_repo(hub_id, repo_type="model", private=private or None, exist_ok=True))
        api.upload_folder(
            repo_id=hub_id, folder_path=folder, repo_type="model", commit_message="Adapter, exported by lope_train"
        )
    return address


def without_local_paths(value: Any) -> Any:
    """A JSON value whose texts hold no absolute path."""
    if isinstance(value, dict):
        return {key: without_local_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_local_paths(inner) for inner in value]
    if not isinstance(value, str):
        return value
    return LOCAL if _WHOLE.match(value) else _WITHIN.sub(LOCAL, value)


def _count(record: dict[str, Any]) -> Count | None:
    """None where the base's config is not at hand, or where the settings are of another release."""
    try:
        settings = TrainSettings.model_validate({**record["settings"], "model": record["model"]})
        return count(settings, len(record.get("classes") or (0, 0)))
    except LopeTrainError:
        return None


def _check_weights(path: Path) -> None:
    """Raises RunError unless the file is there and as long as its header says."""
    if not path.is_file():
        raise RunError(f"{path.parent}: no {path.name}; train again")
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: not a whole safetensors file ({error}); train again") from None
    if not names:
        raise RunError(f"{path}: holds no tensors; train again")


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    if sha256_of(source) != sha256_of(target):
        raise RunError(f"{target}: is not what {source} holds; is the disk sound?")
