"""Ours say what happens, and errors are raised: the libraries need not speak."""

from __future__ import annotations

import logging
import warnings


def quiet_libraries() -> None:
    """No progress bars and notices of the libraries."""
    import datasets
    from transformers.utils import logging as transformers_logging

    datasets.disable_progress_bars()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    warnings.filterwarnings("ignore", message="Position ids are not supported", module="peft")
    for library in ("transformers", "bitsandbytes"):
        logging.getLogger(library).setLevel(logging.ERROR)
