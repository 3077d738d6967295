"""LoRA on a causal language model: steps, points, validation, checkpoints."""

import functools
import math
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from checkpoints import Checkpoints
from encoding import IGNORED, Example, cut, encode, side_by_side
from gauges import Busyness
from models import Base
from pairs import Order, PairFile, split, steps_per_epoch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from reporting import Point, Report, finite, now
from torch.nn import functional
from trouble import Stopped
from work_order import WorkOrder

_SEED = 0
_MOST_POINTS = 1000  # of one run; a longer one reports the mean of several steps
_VALIDATIONS = 20  # of one run
_WARM_UP = 0.05  # of all steps
_TOKENS_AT_ONCE = 8192  # at first; a larger batch is taken in parts, with the same gradient
_FEWEST_AT_ONCE = 256
_LONGEST_GRADIENT = 1.0
_SMALL = 10_000_000  # weights; below, one thread is faster than several that wait for each other


@dataclass(frozen=True)
class Figures:
    """What a finished training measured."""

    steps: int
    training_loss: float | None
    validation_loss: float | None
    seconds: float  #: of this process, without loading
    tokens: int  #: of this process
    training_pairs: int
    validation_pairs: int


class _Stretch:
    """The steps since the last point."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._losses: list[float] = []
        self._tokens = 0

    def add(self, loss: float, tokens: int) -> None:
        self._losses.append(loss)
        self._tokens += tokens

    def figures(self) -> tuple[float | None, float | None]:
        """Mean loss, and tokens per second until now."""
        elapsed = time.perf_counter() - self._begun
        return finite(sum(self._losses) / len(self._losses)), finite(self._tokens / elapsed, 5)


def adapt(base: Base, order: WorkOrder) -> PeftModel:
    """The base model with a fresh adapter on every linear layer but the last."""
    torch.manual_seed(_SEED)
    small = sum(weights.numel() for weights in base.model.parameters()) < _SMALL
    if small and base.model.device.type == "cpu":
        torch.set_num_threads(1)
    config = LoraConfig(
        r=order.lora_rank,
        lora_alpha=order.lora_alpha,  # type: ignore[arg-type]  # any number will do, peft only divides it
        lora_dropout=order.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(base.model, config)
    for layer in adapted.modules():
        if isinstance(layer, BaseTunerLayer):
            layer.cast_input_dtype_enabled = False  # to float32, only for autocast to take it back
    adapted.peft_config["default"].base_model_name_or_path = order.base_model
    return adapted  # type: ignore[return-value]


class Training:
    """One run: its model, its pairs and where it stands."""

    def __init__(
        self, order: WorkOrder, base: Base, model: PeftModel, pairs: PairFile, folder: Path, report: Report
    ) -> None:
        """`folder` is where checkpoints are kept."""
        self._base, self._model, self._report = base, model, report
        self._training, self._held_out = split(len(pairs))
        self._order = Order(self._training, order.batch_size)
        self._batch_size = order.batch_size
        self._per_epoch = steps_per_epoch(len(pairs), order.batch_size)
        self.total_steps = self._per_epoch * order.num_epochs
        self._example = functools.lru_cache(10_000)(lambda index: encode(pairs[index], base))
        self._tokens_at_once = _TOKENS_AT_ONCE
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(self._weights, lr=order.learning_rate, weight_decay=0.0)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, self._rate)
        self._checkpoints = Checkpoints(folder / "checkpoint.pt", model, self._optimizer, self._schedule)
        self._busyness = Busyness(model.device)

    def run(self, stop: threading.Event) -> Figures:
        """Train to the end, from the last checkpoint if there is one.

        Raises `Stopped`, at most one part of a step after `stop` is set, with a checkpoint saved.
        """
        step = self._checkpoints.restore()
        self._report.forget_after(step)
        self._report.stage("training", total_steps=self.total_steps, step=step, epoch=self._epoch(step))
        every = math.ceil(self.total_steps / _MOST_POINTS)
        between_validations = max(1, self.total_steps // _VALIDATIONS)
        begun, tokens, since_last = time.perf_counter(), 0, _Stretch()
        last: Point | None = None
        while step < self.total_steps:
            rate = self._schedule.get_last_lr()[0]
            try:
                loss, norm, count = self._step(step, stop)
            except Stopped:
                self._checkpoints.save(step)
                raise
            step += 1
            tokens += count
            since_last.add(loss, count)
            final = step == self.total_steps
            validating = final or step % between_validations == 0
            if validating or step % every == 0:
                training_loss, throughput = since_last.figures()
                last = Point(
                    step=step,
                    epoch=self._epoch(step),
                    timestamp=now(),
                    training_loss=training_loss,
                    validation_loss=self._validate(stop) if validating else None,
                    learning_rate=float(f"{rate:.6g}"),
                    gradient_norm=finite(norm),
                    throughput=throughput,
                    gpu_utilization=self._busyness.read(),
                )
                self._report.point(last)
                since_last = _Stretch()
            self._checkpoints.save_if_due(step)
        self._checkpoints.save(step)
        return Figures(
            steps=step,
            training_loss=last.training_loss if last else None,
            validation_loss=last.validation_loss if last else None,
            seconds=round(time.perf_counter() - begun, 2),
            tokens=tokens,
            training_pairs=len(self._training),
            validation_pairs=len(self._held_out),
        )

    def _step(self, step: int, stop: threading.Event) -> tuple[float, float, int]:
        """One optimizer step: its loss, the gradient's norm, and the tokens it read. Raises `Stopped`.

        Where loss or gradient is no number the weights stay as they are, and the run goes on.
        """
        self._model.train()
        examples = self._examples(self._order.batch(step))
        loss = self._fitting(functools.partial(self._gradient, examples, stop))
        norm = float(torch.nn.utils.clip_grad_norm_(self._weights, _LONGEST_GRADIENT))
        if math.isfinite(loss) and math.isfinite(norm):
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._schedule.step()
        return loss, norm, sum(len(example.ids) for example in examples)

    def _gradient(self, examples: list[Example], stop: threading.Event) -> float:
        """Leave the gradient of the mean loss a token in the weights, and return that loss."""
        self._optimizer.zero_grad(set_to_none=True)  # of an attempt that did not fit
        targets = max(1, sum(example.targets for example in examples))
        loss = 0.0
        for part in cut(examples, self._tokens_at_once):
            if stop.is_set():
                raise Stopped
            share = self._loss(part) / targets
            share.backward()  # type: ignore[no-untyped-call]
            loss += float(share.detach())
        return loss

    @torch.no_grad()
    def _validate(self, stop: threading.Event) -> float | None:
        """Mean loss a token of the held-out pairs; None when there are none, or when asked to stop."""
        self._model.eval()
        loss, targets = 0.0, 0
        for first in range(0, len(self._held_out), self._batch_size):
            if stop.is_set():
                return None
            examples = self._examples(self._held_out[first : first + self._batch_size])
            loss += self._fitting(functools.partial(self._total_loss, examples))
            targets += sum(example.targets for example in examples)
        return finite(loss / targets) if targets else None

    def _total_loss(self, examples: list[Example]) -> float:
        return sum(float(self._loss(part)) for part in cut(examples, self._tokens_at_once))

    def _fitting(self, work: Callable[[], float]) -> float:
        """What `work` gives; where the GPU's memory is too small for it, done again with less of it.

        Raises `torch.OutOfMemoryError` when nothing is left to do without.
        """
        while True:
            try:
                return work()
            except torch.OutOfMemoryError:
                if not self._saved_memory():
                    raise
            torch.cuda.empty_cache()  # not before: the failed attempt's tensors hang on its traceback

    def _saved_memory(self) -> bool:
        """Halve what is taken at once, which costs little while it is long; then compute twice, then halve again."""
        base, fewer = self._base.model, self._tokens_at_once // 2
        thrifty = base.is_gradient_checkpointing or not base.supports_gradient_checkpointing
        if fewer < self._base.longest and not thrifty:
            base.gradient_checkpointing_enable({"use_reentrant": False})
        elif fewer >= _FEWEST_AT_ONCE:
            self._tokens_at_once = fewer
        else:
            return False
        print(f"Too little GPU memory: {self._tokens_at_once} tokens at once from here on", file=sys.stderr)
        return True

    def _examples(self, indices: Iterable[int]) -> list[Example]:
        return [self._example(index) for index in indices]

    def _loss(self, part: list[Example]) -> torch.Tensor:
        """Cross entropy summed over the tokens to learn."""
        ids, labels = side_by_side(part, self._base.tokenizer.pad_token_id, self._model.device)
        with self._base.autocast():
            logits = self._model(input_ids=ids).logits
        return functional.cross_entropy(
            logits[:, :-1].float().flatten(0, 1),
            labels[:, 1:].flatten(),
            ignore_index=IGNORED,
            reduction="sum",
        )

    def _epoch(self, step: int) -> int:
        """The epoch that the last of `step` steps belongs to, from 1."""
        return max(1, math.ceil(step / self._per_epoch))

    def _rate(self, step: int) -> float:
        """Share of the learning rate: up in a line, then down along a cosine."""
        rising = max(1, round(_WARM_UP * self.total_steps))
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, self.total_steps - rising)))
