"""Hyperparameters: which are refused, and under which path."""

from dataclasses import replace
from typing import Any

import pytest

from jobs.domain.training import PRESETS, Hyperparameters, flaws_of

NAN, INFINITY = float("nan"), float("inf")
NAME = "must be a model's name or folder of 1 to 200 characters"
RATE = "must be above 0 and at most 1"
SHARE = "must be at least 0 and below 1"
TYPE = "has the wrong type"


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"base_model": ""}, "baseModel", NAME),
        ({"base_model": "   "}, "baseModel", NAME),
        ({"base_model": "m" * 201}, "baseModel", NAME),
        ({"base_model": "org/model\n"}, "baseModel", NAME),
        ({"base_model": "org/\x00model"}, "baseModel", NAME),
        ({"base_model": "org/\ud800"}, "baseModel", NAME),
        ({"base_model": 7}, "baseModel", TYPE),
        ({"base_model": None}, "baseModel", TYPE),
        ({"learning_rate": 0}, "learningRate", RATE),
        ({"learning_rate": -1e-4}, "learningRate", RATE),
        ({"learning_rate": 1.01}, "learningRate", RATE),
        ({"learning_rate": NAN}, "learningRate", RATE),
        ({"learning_rate": INFINITY}, "learningRate", RATE),
        ({"learning_rate": 10**400}, "learningRate", RATE),
        ({"learning_rate": True}, "learningRate", TYPE),
        ({"learning_rate": "2e-4"}, "learningRate", TYPE),
        ({"batch_size": 0}, "batchSize", "must be a whole number from 1 to 1024"),
        ({"batch_size": 1025}, "batchSize", "must be a whole number from 1 to 1024"),
        ({"batch_size": 4.0}, "batchSize", TYPE),
        ({"batch_size": True}, "batchSize", TYPE),
        ({"num_epochs": 0}, "numEpochs", "must be a whole number from 1 to 100"),
        ({"num_epochs": 10_000}, "numEpochs", "must be a whole number from 1 to 100"),
        ({"num_epochs": 10**400}, "numEpochs", "must be a whole number from 1 to 100"),
        ({"lora_rank": 0}, "loraRank", "must be a whole number from 1 to 512"),
        ({"lora_rank": -8}, "loraRank", "must be a whole number from 1 to 512"),
        ({"lora_rank": True}, "loraRank", TYPE),
        ({"lora_alpha": 0}, "loraAlpha", "must be a whole number from 1 to 2048"),
        ({"lora_alpha": None}, "loraAlpha", TYPE),
        ({"lora_dropout": 1}, "loraDropout", SHARE),
        ({"lora_dropout": 1.5}, "loraDropout", SHARE),
        ({"lora_dropout": -0.1}, "loraDropout", SHARE),
        ({"lora_dropout": NAN}, "loraDropout", SHARE),
        ({"lora_dropout": False}, "loraDropout", TYPE),
    ],
)
def test_a_wrong_value_is_named_by_its_path(changes: dict[str, Any], path: str, message: str) -> None:
    flaws = flaws_of(replace(Hyperparameters(), **changes))
    assert [(flaw.path, flaw.message) for flaw in flaws] == [(f"hyperparameters.{path}", message)]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    flaws = flaws_of(Hyperparameters("", 0.0, 0, 0, 0, 0, 1.0))
    assert [flaw.path.partition(".")[2] for flaw in flaws] == [
        *("baseModel", "learningRate", "batchSize", "numEpochs", "loraRank", "loraAlpha", "loraDropout"),
    ]


@pytest.mark.parametrize(
    "wish",
    [
        Hyperparameters("m", 1e-12, 1, 1, 1, 1, 0.0),
        Hyperparameters("m" * 200, 1, 1024, 100, 512, 2048, 0.999),
        Hyperparameters("/models/mein Modell", 0.5, 4, 3, 16, 32, 0),
    ],
)
def test_the_ends_of_every_range_are_fine(wish: Hyperparameters) -> None:
    assert flaws_of(wish) == []


def test_presets_and_defaults_can_be_trained() -> None:
    assert {preset.id: flaws_of(preset.hyperparameters) for preset in PRESETS} == {
        preset.id: [] for preset in PRESETS
    }
    assert len({preset.id for preset in PRESETS}) == len(PRESETS)
    assert Hyperparameters().base_model == "mistralai/Mistral-7B-v0.1"
    assert flaws_of(Hyperparameters()) == []
