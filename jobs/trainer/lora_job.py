"""The slow part of a run: everything that needs torch."""

import signal
import threading
from dataclasses import asdict
from pathlib import Path

import answers
import artifact
import gpus
import models
import training
from pairs import PairFile, split
from reporting import Report
from trouble import TrainerError
from work_order import WorkOrder

_EXAMPLES = 3


def train(order: WorkOrder, dataset: Path, folder: Path, report: Report, stop: threading.Event) -> None:
    """Train on `dataset` and leave `adapter/` and `adapter.tar` in `folder`; SIGTERM sets `stop`.

    Raises `TrainerError`, and `Stopped` with checkpoint and adapter saved.
    """
    try:
        _train(order, dataset, folder, report, stop)
    except RuntimeError as error:
        if not gpus.out_of_memory(error):
            raise
        raise TrainerError(gpus.too_small(order.base_model)) from error


def _train(order: WorkOrder, dataset: Path, folder: Path, report: Report, stop: threading.Event) -> None:
    pairs = PairFile(dataset)
    device = gpus.choose()
    base = models.load(order.base_model, device, gpus.dtype(device))
    model = training.adapt(base, order)
    work = training.Training(order, base, model, pairs, folder, report)
    adapter = folder / "adapter"
    unguarded = signal.signal(
        signal.SIGTERM, lambda *_: stop.set()
    )  # before and after there is nothing to save
    try:
        figures = work.run(stop)
    finally:
        model.save_pretrained(adapter, save_embedding_layers=False)
    signal.signal(signal.SIGTERM, unguarded)

    report.stage("saving the adapter")
    _, held_out = split(len(pairs))
    examples = answers.examples(base, model, [pairs[index] for index in held_out[:_EXAMPLES]])
    artifact.write_readme(adapter, order, asdict(figures), examples)
    artifact.pack(adapter, folder / "adapter.tar")
