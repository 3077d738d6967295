"""How busy the processor that trains is: a GPU as its driver says, a CPU by what this process had of it."""

import time

import torch


class Busyness:
    """Percent of the time since the last reading; None where the driver does not say."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._at, self._used = time.monotonic(), time.process_time()

    def read(self) -> float | None:
        """0 to 100. On a GPU of the moment; on a CPU 100 means that all threads it trains with were busy."""
        if self._device.type == "cuda":
            return self._gpu()
        now, used = time.monotonic(), time.process_time()
        elapsed, spent = now - self._at, used - self._used
        self._at, self._used = now, used
        if elapsed <= 0:
            return None
        return round(min(100.0, 100 * spent / elapsed / torch.get_num_threads()), 1)

    def _gpu(self) -> float | None:
        try:
            return float(torch.cuda.utilization(self._device))
        except Exception:  # noqa: BLE001 - no driver library, no permission: the run does not depend on it
            return None
