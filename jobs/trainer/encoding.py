"""Pairs become token ids; only what the model shall say counts in the loss."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from models import Base
from pairs import Pair

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
Text = tuple[str, bool]  #: a piece of a pair, and whether the model shall learn to say it


@dataclass(frozen=True)
class Example:
    """One pair's tokens; `labels` repeats those to learn and has IGNORED for the rest."""

    ids: list[int]
    labels: list[int]

    @property
    def targets(self) -> int:
        """Tokens that count in the loss: each but the first is predicted from those before it."""
        return sum(label != IGNORED for label in self.labels[1:])


def encode(pair: Pair, base: Base) -> Example:
    """The pair as tokens; of one that is too long the end is kept, where the answer is."""
    ids: list[int] = []
    labels: list[int] = []
    for text, learnt in _texts(pair, base.tokenizer):
        piece = base.tokenizer(text, add_special_tokens=False)["input_ids"]
        ids += piece
        labels += piece if learnt else [IGNORED] * len(piece)
    return Example(ids[-base.longest :], labels[-base.longest :])


def side_by_side(
    examples: list[Example], pad: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and labels of shape (examples, longest), padded at the end.

    No mask goes with them: a causal model's tokens do not see what comes after them.
    """
    longest = max(len(example.ids) for example in examples)

    def tensor(rows: list[list[int]], filler: int) -> torch.Tensor:
        return torch.tensor([row + [filler] * (longest - len(row)) for row in rows], device=device)

    ids = tensor([example.ids for example in examples], pad)
    return ids, tensor([example.labels for example in examples], IGNORED)


def cut(examples: list[Example], tokens: int) -> Iterator[list[Example]]:
    """Parts of a batch that take at most `tokens` of memory each, padding included; one example at least."""
    part: list[Example] = []
    for example in sorted(examples, key=lambda example: len(example.ids)):
        if part and (len(part) + 1) * len(example.ids) > tokens:
            yield part
            part = []
        part.append(example)
    yield part


def prompt_of(pair: Pair, tokenizer: "PreTrainedTokenizerBase") -> str:
    """What the model reads before it answers."""
    texts = list(_texts(pair, tokenizer))
    last = max(number for number, (_, learnt) in enumerate(texts) if learnt)
    return "".join(text for text, _ in texts[:last])


def _texts(pair: Pair, tokenizer: "PreTrainedTokenizerBase") -> Iterator[Text]:
    begin, end = tokenizer.bos_token or "", tokenizer.eos_token or ""
    if "messages" not in pair:
        yield begin + pair["prompt"], False
        yield pair["completion"] + end, True
        return
    messages = pair["messages"]
    if tokenizer.chat_template:
        yield from _by_template(messages, tokenizer)
        return
    yield begin, False
    for message in messages:
        if message["role"] == "assistant":
            yield "assistant: ", False
            yield message["content"] + end, True
            yield "\n", False
        else:
            yield f"{message['role']}: {message['content']}\n", False


def _by_template(messages: list[dict[str, str]], tokenizer: "PreTrainedTokenizerBase") -> Iterator[Text]:
    """The conversation as the model's own template writes it, cut where the assistant begins and ends."""
    written = ""
    for number, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        asked = str(
            tokenizer.apply_chat_template(messages[:number], tokenize=False, add_generation_prompt=True)
        )
        answered = str(tokenizer.apply_chat_template(messages[: number + 1], tokenize=False))
        common = asked if answered.startswith(asked) else answered[: answered.rfind(message["content"])]
        yield common[len(written) :], False
        yield answered[len(common) :], True
        written = answered
