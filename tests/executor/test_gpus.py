"""What a trainer does about GPUs: each run has one of its own, and too little memory is met before it is an error."""

import json
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from tests.executor.cluster import ROOT, TINY

_CLAIM = """
import sys
sys.path.insert(0, sys.argv[1])
import gpus
print(*(gpus.claim(sys.argv[2:]) for _ in range(3)))
"""

_TRAIN = """
import sys, threading
from pathlib import Path
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
import gpus, lora_job, torch, training, work_order
from reporting import Report
from trouble import TrainerError

loss = training.Training._loss

def in_little_memory(self, part):
    wanted = len(part) * max(len(example.ids) for example in part)
    if wanted > (with_checkpointing if self._base.model.is_gradient_checkpointing else room):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return loss(self, part)

training.Training._loss = in_little_memory
torch.cuda.mem_get_info = lambda: (2 << 30, 80 << 30)
torch.cuda.current_device = lambda: 0
torch.cuda.get_device_properties = lambda _: SimpleNamespace(name="NVIDIA H100", total_memory=80 << 30)
def train(folder):
    order, stop = work_order.WorkOrder.read(folder / "order.json"), threading.Event()
    try:
        lora_job.train(order, folder / "dataset.jsonl", folder, Report(folder, None, stop), stop)
    except TrainerError as error:
        print(error)

def no_room():
    raise torch.AcceleratorError("CUDA error: out of memory")

for folder in map(Path, sys.argv[2:]):
    room, with_checkpointing = map(int, folder.name.split("-"))
    train(folder)
gpus.choose = torch.cuda.mem_get_info = no_room
train(folder)
"""

_IN_BOTH = """
import json, sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import answers, models, torch, training
from pairs import PairFile
from work_order import WorkOrder

folder, pairs = Path(sys.argv[2]), PairFile(Path(sys.argv[3]))
models.save_tiny(folder)
order = WorkOrder("job-1", "", str(folder), 0.005, 16, 1, 16, 32, 0.0, None, None)
for dtype in (torch.float32, torch.bfloat16):
    base = models.load(str(folder), torch.device("cpu"), dtype)
    model = training.adapt(base, order)
    work = training.Training(order, base, model, pairs, folder, None)
    losses = [work._step(step, threading.Event())[0] for step in range(6)]
    print(json.dumps({"losses": losses, "answer": answers.answer(base, model, "Two eggs")}))
"""

SAMPLE = ROOT / "jobs" / "samples" / "market_orders.jsonl"


def said_by(script: str, *arguments: str | Path) -> str:
    """What `script` prints, run as a trainer would be."""
    python = ROOT / ".venv-trainer" / "bin" / "python"
    command = [python, "-W", "ignore", "-c", script, ROOT / "jobs" / "trainer", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout.strip()


def a_short_run(folder: Path) -> Path:
    """The folder of a run of three steps."""
    folder.mkdir()
    pair = '{{"prompt": "{}", "completion": "{}"}}\n'
    dataset = "".join(pair.format("ask " * n, "say " * n) for n in range(1, 21))
    (folder / "dataset.jsonl").write_text(dataset)
    hyperparameters = TINY | {"num_epochs": 1, "lora_dropout": 0.0}
    order = {"job_id": "job-1", "dataset_url": "http://127.0.0.1:9", "hyperparameters": hyperparameters}
    (folder / "order.json").write_text(json.dumps(order))
    return folder


def test_each_run_has_a_gpu_of_its_own_while_it_lasts_and_those_beyond_share() -> None:
    gpus = [str(uuid4()) for _ in range(2)]
    for _ in range(2):
        first, second, third = said_by(_CLAIM, *gpus).split()
        assert (first, second) == ("0", "1")
        assert third in ("0", "1")


def test_what_does_not_fit_into_memory_at_once_is_learnt_in_parts_or_ends_with_advice(tmp_path: Path) -> None:
    rooms = ("1000000-0", "600-0", "0-1000000", "0-0")  # for so many tokens, as a rule and at last
    folders = [a_short_run(tmp_path / room) for room in rooms]
    little, nothing = said_by(_TRAIN, *folders).splitlines()
    ample, in_parts, computed_twice, never = [
        [json.loads(point)["training_loss"] for point in (folder / "points.jsonl").read_text().splitlines()]
        for folder in folders
    ]
    assert len(ample) == 3
    assert in_parts == pytest.approx(ample, rel=1e-3)
    assert computed_twice == pytest.approx(ample, rel=1e-3)
    assert never == []
    assert little.startswith(
        "The GPU's memory is too small to train lora-pipeline/tiny: of 80.0 GiB on NVIDIA H100"
    )
    assert "could have 2.0. Choose a smaller base model" in little
    assert "could have 0.0. Choose a smaller base model" in nothing


def test_a_model_in_half_precision_learns_as_in_full(tmp_path: Path) -> None:
    full, half = (json.loads(line) for line in said_by(_IN_BOTH, tmp_path / "model", SAMPLE).splitlines())
    assert half["losses"] == pytest.approx(full["losses"], rel=0.01)
    assert half["losses"] != full["losses"]
    assert half["losses"][-1] < 0.8 * half["losses"][0]
    assert half["answer"]
