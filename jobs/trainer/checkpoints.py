"""The state from which a run goes on after a crash: one file, replaced whole."""

import time
from pathlib import Path
from typing import Any

import torch
from files import whole
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict

_LEAST_SECONDS_BETWEEN = 2.0
_MOST_SHARE_OF_TIME = 0.05


class Checkpoints:
    """Saves what changes in a run (adapter, optimizer, schedule, step, random numbers) every so often."""

    def __init__(
        self,
        file: Path,
        model: PeftModel,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> None:
        self._file, self._model, self._parts = file, model, {"optimizer": optimizer, "schedule": schedule}
        self._on_gpu = model.device.type == "cuda"
        self._pause = _LEAST_SECONDS_BETWEEN
        self._due = time.monotonic() + self._pause

    def restore(self) -> int:
        """Put the last checkpoint's state in place and return its step; 0 when there is none."""
        if not self._file.exists():
            return 0
        state: dict[str, Any] = torch.load(self._file, map_location="cpu", weights_only=True)
        set_peft_model_state_dict(self._model, state["adapter"])
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        torch.set_rng_state(state["random"])
        if self._on_gpu and state.get("random_gpu") is not None:
            torch.cuda.set_rng_state(state["random_gpu"], self._model.device)
        step: int = state["step"]
        return step

    def save_if_due(self, step: int) -> None:
        """Save, unless the last time was just now: saving takes a twentieth of the time at most."""
        if time.monotonic() >= self._due:
            self.save(step)

    def save(self, step: int) -> None:
        """Save the state after `step` steps."""
        begun = time.monotonic()
        state = {
            "step": step,
            "adapter": get_peft_model_state_dict(self._model, save_embedding_layers=False),
            **{name: part.state_dict() for name, part in self._parts.items()},
            "random": torch.get_rng_state(),
            "random_gpu": torch.cuda.get_rng_state(self._model.device) if self._on_gpu else None,
        }
        with whole(self._file) as new:
            torch.save(state, new)
        done = time.monotonic()
        self._pause = max(_LEAST_SECONDS_BETWEEN, (done - begun) / _MOST_SHARE_OF_TIME)
        self._due = done + self._pause
