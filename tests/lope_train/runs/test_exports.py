"""The names of the package, imported late."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lope_train


def test_importing_the_package_is_light() -> None:
    code = "import lope_train, sys; assert not {'torch', 'transformers', 'peft', 'datasets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", lope_train.__all__)
def test_every_name_is_the_thing_and_not_a_module(name: str) -> None:
    assert getattr(lope_train, name).__name__ == name
    assert getattr(lope_train, name).__module__.startswith("lope_train.")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = lope_train.nope
