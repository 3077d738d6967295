"""`run FOLDER` obeys the work order there, `base FOLDER` writes the tiny model, `ask ADAPTER PROMPT` asks."""

import argparse
import os
import signal
import sys
import threading
import traceback
from pathlib import Path

# Nothing slow is imported up here: a run says what it does before it loads torch.
from artifact import describe
from hub import check
from reporting import Report
from transfer import download, upload
from trouble import Stopped, TrainerError
from work_order import WorkOrder

STOPPED = 128 + signal.SIGTERM  #: exit code of a run that was asked to stop

_QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


def main() -> int:
    """The program; its exit code."""
    parser = argparse.ArgumentParser(prog="trainer", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("run").add_argument("folder", type=Path)
    verbs.add_parser("base").add_argument("folder", type=Path)
    ask = verbs.add_parser("ask")
    ask.add_argument("adapter", type=Path)
    ask.add_argument("prompt")
    given = parser.parse_args()
    os.environ |= _QUIET
    match given.verb:
        case "run":
            return run(given.folder)
        case "base":
            from models import save_tiny  # noqa: PLC0415

            save_tiny(given.folder)
        case "ask":
            from answers import ask_adapter  # noqa: PLC0415

            print(ask_adapter(given.adapter, given.prompt))
    return 0


def run(folder: Path) -> int:
    """Do the whole run in `folder`; what has been done there already is not done again."""
    order = WorkOrder.read(folder / "order.json")
    stop = threading.Event()
    report = Report(folder, order.callback_url, stop)
    try:
        artifact = _run(order, folder, report, stop)
    except Stopped:
        if report.ended_elsewhere:
            report.result("cancelled")
        return STOPPED
    except TrainerError as error:
        report.result("failed", str(error))
        return 1
    except Exception as error:  # noqa: BLE001 - the log has it whole, the person gets one line
        traceback.print_exc()
        line = (str(error).strip().splitlines() or ["no more is known"])[0]
        report.result("failed", f"The trainer met an unexpected {type(error).__name__}: {line[:500]}")
        return 1
    report.result("completed", artifact=artifact)
    return 0


def _run(order: WorkOrder, folder: Path, report: Report, stop: threading.Event) -> dict[str, object]:
    tar = folder / "adapter.tar"
    if not tar.exists():
        _train(order, folder, report, stop)
    if order.artifact_url:
        report.stage("uploading the adapter")
        try:
            upload(order.artifact_url, tar)
        except TrainerError as error:
            kept = "The training itself finished: adapter.tar is kept in the run's folder on the executor."
            raise TrainerError(f"{error} {kept}") from error
    return describe(tar, f"{order.job_id}.tar")


def _train(order: WorkOrder, folder: Path, report: Report, stop: threading.Event) -> None:
    report.stage("finding the base model")
    check(order.base_model)
    dataset = folder / "dataset.jsonl"
    if not dataset.exists():
        report.stage("downloading the dataset")
        download(order.dataset_url, dataset)
    report.stage("loading the model")
    import lora_job  # noqa: PLC0415 - takes seconds, in which the run says what it does

    lora_job.train(order, dataset, folder, report, stop)


if __name__ == "__main__":
    sys.exit(main())
