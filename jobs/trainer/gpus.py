"""Which GPU a run trains on, and what is said when its memory is too small."""

import os
import socket
from collections.abc import Sequence

import torch

_held: list[socket.socket] = []  # claims that last as long as this process


def choose() -> torch.device:
    """A visible GPU that no other run on this machine has claimed, claimed; the CPU where there is no GPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    visible = range(torch.cuda.device_count())
    index = claim([str(torch.cuda.get_device_properties(index).uuid) for index in visible])
    torch.cuda.set_device(index)
    torch.backends.cuda.enable_cudnn_sdp(False)  # to plan for a new length takes it longer than a step
    return torch.device("cuda", index)


def claim(names: Sequence[str]) -> int:
    """The index of the first of `names` that nobody holds; runs beyond the last share.

    A claim is a name among the kernel's sockets, which it frees when the process ends, however it ends.
    """
    for index, name in enumerate(names):
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0lora-pipeline-gpu-{name}")
        except OSError:
            mark.close()
            continue
        _held.append(mark)
        return index
    return os.getpid() % len(names)


def dtype(device: torch.device) -> torch.dtype:
    """Of the base model's weights: bfloat16 on a GPU that can."""
    half = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if half else torch.float32


def out_of_memory(error: Exception) -> bool:
    """Whether `error` is PyTorch's for a GPU's memory; it is of another class before the first tensor."""
    return isinstance(error, RuntimeError) and "out of memory" in str(error)


def too_small(base_model: str) -> str:
    """The sentence for a run that found no memory, whatever it did without."""
    gpu = torch.cuda.get_device_properties(torch.cuda.current_device())
    try:
        ours = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()
    except RuntimeError:  # not even for asking
        ours = 0
    return (
        f"The GPU's memory is too small to train {base_model}: of {gpu.total_memory / 2**30:.1f} GiB on {gpu.name} "
        f"this run could have {ours / 2**30:.1f}. Choose a smaller base model, a lower rank or a larger GPU, or see "
        "that nothing else runs on this one."
    )
