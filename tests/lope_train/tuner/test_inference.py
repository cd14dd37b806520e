"""The ways of inference: their words, names and meanings, in one type."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from lope_train.errors import SettingsError
from lope_train.tuner.config import LopeConfig
from lope_train.tuner.inference import ALL_MODES, NO_EXPERT, Inference, InferenceMode, inference_modes


def test_a_way_is_its_word() -> None:
    assert [*Inference] == ["compensated", "masked", "unmasked"]
    assert json.dumps([*Inference]) == '["compensated", "masked", "unmasked"]'
    for way in Inference:
        assert f"{way}" == way.value
        assert copy.deepcopy(way) is pickle.loads(pickle.dumps(way)) is Inference.of(way.value) is way  # noqa: S301
        assert LopeConfig(inference=way.value).inference is way
        assert json.loads(json.dumps(LopeConfig(inference=way).to_dict()["inference"])) == way.value


def test_what_each_way_does_and_is_called() -> None:
    assert [(way.masked, way.compensated, way.label, way.treatment) for way in Inference] == [
        (True, True, "masked + compensated", "left out, and the others amplified in its place"),
        (True, False, "masked", "left out"),
        (False, False, "not masked", "left in"),
    ]


def test_a_mode_is_found_by_the_name_it_is_shown_under() -> None:
    modes = [*ALL_MODES, *(InferenceMode(way, count) for way in Inference for count in (0, 12))]
    assert len({mode.name for mode in modes}) == len(modes)
    assert [InferenceMode.named(mode.name) for mode in modes] == modes
    for name in (NO_EXPERT, "", "masked + compensated, K=", "masked + compensated, K=x", "compensated", ", K=1"):
        assert InferenceMode.named(name) is None


def test_the_modes_that_are_asked_for() -> None:
    assert inference_modes([], []) == ALL_MODES
    masked, compensated = InferenceMode(Inference.MASKED), InferenceMode(Inference.COMPENSATED)
    assert inference_modes(["masked", "compensated", "masked"], []) == (masked, compensated)
    assert inference_modes(["masked"], [1, 0, 1]) == (
        masked,
        InferenceMode(Inference.COMPENSATED, 1),
        InferenceMode(Inference.COMPENSATED, 0),
    )
    with pytest.raises(SettingsError, match=r"^no inference 'maskd'; did you mean 'masked'\?$"):
        inference_modes(["maskd"], [])
    with pytest.raises(SettingsError, match=r"^experts is -1; it must be at least 0$"):
        inference_modes([], [-1])
