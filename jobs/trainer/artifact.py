"""The adapter as one plain tar: what peft loads, and what a person wants to know about it."""

import hashlib
import json
import tarfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from files import whole
from hub import TINY
from work_order import WorkOrder

_BLOCK = 1 << 20


def pack(adapter: Path, file: Path) -> None:
    """Pack the files of the folder `adapter`; the same files give the same bytes."""
    with whole(file) as new, tarfile.open(new, "w", format=tarfile.USTAR_FORMAT) as tar:
        for member in sorted(adapter.iterdir()):
            tar.add(member, member.name, filter=_plain)


def describe(file: Path, name: str) -> dict[str, Any]:
    """`{path, size_bytes, sha256}` as the contract has it."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    return {"path": name, "size_bytes": file.stat().st_size, "sha256": digest.hexdigest()}


def write_readme(
    adapter: Path, order: WorkOrder, figures: dict[str, object], examples: list[dict[str, str]]
) -> None:
    """`metrics.json` and `README.md` beside the adapter's files."""
    hyperparameters = {
        name: value
        for name, value in asdict(order).items()
        if not name.endswith("_url") and name not in ("job_id", "base_model")
    }
    facts = {"job_id": order.job_id, "base_model": order.base_model, **hyperparameters, **figures}
    (adapter / "metrics.json").write_text(json.dumps(facts | {"examples": examples}, indent=2) + "\n")
    table = "\n".join(
        f"| {name} | {value} |" for name, value in facts.items() if name not in ("job_id", "base_model")
    )
    base, hint = order.base_model, ""
    if base == TINY:
        base, hint = (
            "tiny",
            "`python jobs/trainer base tiny` of lora-pipeline writes it to the folder `tiny`.",
        )
    shown = "\n".join(f"- `{e['prompt']}` → `{e['answer']}`" for e in examples)
    (adapter / "README.md").write_text(
        f"# LoRA adapter\n\nOf `{order.base_model}`, by job `{order.job_id}`. {hint}\n\n```python\n"
        "from peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n"
        f'base = AutoModelForCausalLM.from_pretrained("{base}")\n'
        'model = PeftModel.from_pretrained(base, "this folder")\n```\n\n'
        f"| | |\n| --- | --- |\n{table}\n"
        + (f"\nHeld-out prompts, and what it answers now:\n\n{shown}\n" if shown else "")
    )


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime, member.mode = 0, 0o644
    return member
