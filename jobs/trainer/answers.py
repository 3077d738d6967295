"""What an adapted model says."""

import json
from pathlib import Path

import models
import torch
from encoding import prompt_of
from models import Base
from pairs import Pair
from peft import PeftModel

_MOST_NEW_TOKENS = 64
_MOST_SECONDS = 5.0  # of an example, for which a GPU is paid; who asks by hand waits


def examples(base: Base, model: PeftModel, pairs: list[Pair]) -> list[dict[str, str]]:
    """For each of `pairs` what the model reads and what it answers, as `{prompt, answer}`."""
    prompts = [prompt_of(pair, base.tokenizer) for pair in pairs]
    begin = base.tokenizer.bos_token or ""
    return [
        {"prompt": prompt.removeprefix(begin).strip(), "answer": answer(base, model, prompt, _MOST_SECONDS)}
        for prompt in prompts
    ]


def ask_adapter(folder: Path, prompt: str) -> str:
    """Load the adapter in `folder` onto its base model and let it answer."""
    name = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    base = models.load(name, torch.device("cpu"), torch.float32)
    model = PeftModel.from_pretrained(base.model, str(folder), torch_device="cpu")
    return answer(base, model, prompt_of({"prompt": prompt, "completion": ""}, base.tokenizer))


@torch.no_grad()
def answer(base: Base, model: PeftModel, prompt: str, seconds: float | None = None) -> str:
    """The likeliest continuation of `prompt`, up to the end mark, 64 tokens or `seconds`."""
    model.eval()
    ids = base.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
    ids = ids[:, -(base.longest - _MOST_NEW_TOKENS) :].to(model.device)
    with base.autocast():
        said = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=_MOST_NEW_TOKENS,
            max_time=seconds,
            do_sample=False,
            pad_token_id=base.tokenizer.pad_token_id,
        )
    text: str = base.tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True)
    return text.strip()
