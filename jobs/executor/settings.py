"""The executor's settings: read once from the environment; a bad one is named in the refusal to start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_ROOT = Path(__file__).parent.parent.parent


class SettingsError(Exception):
    """A variable is missing or wrong; the message names it and says what it must be."""


@dataclass(frozen=True)
class Settings:
    """Where the executor listens, what it keeps where, and how it trains."""

    key: str = field(repr=False)  #: the bearer key of every call
    host: str
    port: int
    data: Path  #: absolute
    slots: int  #: runs at the same time
    trainer_python: Path  #: of an environment with torch, transformers and peft
    end_runs_with_parent: bool  #: whether trainers die with the executor instead of outliving it

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises `SettingsError`."""
        given = {name: value for name, value in environment.items() if value}
        key = given.get("GPU_CLUSTER_API_KEY", "")
        if len(key) < 16:
            raise SettingsError("GPU_CLUSTER_API_KEY must be a secret of at least 16 characters.")
        engine = given.get("EXECUTOR_ENGINE", "process")
        if engine != "process":
            raise SettingsError(f"EXECUTOR_ENGINE is {engine!r}; the only engine there is is 'process'.")
        python = Path(given.get("TRAINER_PYTHON", _ROOT / ".venv-trainer" / "bin" / "python")).absolute()
        if not os.access(python, os.X_OK):
            raise SettingsError(
                f"TRAINER_PYTHON: {python} is not there. Run scripts/setup, or name the Python of an "
                "environment with what requirements/trainer.txt lists."
            )
        data = Path(given.get("EXECUTOR_DATA_DIR", Path(given.get("DATA_DIR", "data")) / "executor"))
        return cls(
            key=key,
            host=given.get("EXECUTOR_HOST", "127.0.0.1"),
            port=_whole(given, "EXECUTOR_PORT", 8100, 1, 65535),
            data=data.absolute(),
            slots=_whole(given, "EXECUTOR_SLOTS", 1, 1, 1024),
            trainer_python=python,
            end_runs_with_parent=_whole(given, "EXECUTOR_END_RUNS_WITH_PARENT", 0, 0, 1) == 1,
        )


def _whole(given: Mapping[str, str], variable: str, default: int, least: int, most: int) -> int:
    text = given.get(variable, str(default))
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    raise SettingsError(f"{variable} is {text!r}; it must be a whole number from {least} to {most}.")
