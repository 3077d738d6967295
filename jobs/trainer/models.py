"""The base model and its tokenizer: the tiny one built on the spot, a folder, or a name on the model hub."""

from dataclasses import dataclass
from pathlib import Path

import gpus
import torch
from hub import TINY, sentence
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from trouble import TrainerError

LONGEST = 2048  #: tokens of one pair, however much more the model could take

_SEED = 20


@dataclass(frozen=True)
class Base:
    """A base model ready to be adapted; `longest` is in tokens."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    longest: int

    def autocast(self) -> torch.autocast:
        """Within it an adapter, whose weights stay float32, reckons as its model does."""
        half = self.model.dtype == torch.bfloat16
        return torch.autocast(self.model.device.type, torch.bfloat16, enabled=half)


def load(name: str, device: torch.device, dtype: torch.dtype) -> Base:
    """Load what `hub.check` has found, or build the tiny one. Raises `TrainerError`."""
    if name == TINY:
        return _tiny(device)

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, trust_remote_code=False).to(device)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        if gpus.out_of_memory(error):
            raise
        raise TrainerError(f"The base model {name} could not be loaded: {sentence(error)}.") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    most = getattr(model.config, "max_position_embeddings", None) or LONGEST
    return Base(model, tokenizer, min(LONGEST, most, tokenizer.model_max_length))


def save_tiny(folder: Path) -> None:
    """Write the tiny model and its tokenizer as an ordinary model folder."""
    base = _tiny(torch.device("cpu"))
    base.model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)


def _tiny(device: torch.device) -> Base:
    """A Llama of 0.1 million weights that knows nothing and reads bytes; the same one every time."""
    marks = ("<pad>", "<s>", "</s>")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: number for number, text in enumerate((*marks, *letters))}
    bytes_of = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    bytes_of.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bytes_of.decoder = decoders.ByteLevel()
    pad, begin, end = marks
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_of, pad_token=pad, bos_token=begin, eos_token=end, model_max_length=512
    )
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        intermediate_size=172,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.15,  # at the usual 0.02 the frozen embeddings are too faint for an adapter to use
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = LlamaForCausalLM(config)
    return Base(model.to(device), tokenizer, 512)
