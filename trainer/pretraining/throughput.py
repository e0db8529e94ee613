"""How well the machine is used: slices per second, the share of its peak, the share of time spent waiting for data."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from operators.encoder.vision_transformer import EncoderConfig
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.model.guide import OPERATIONS_PER_PIXEL, TOKEN_WIDTH, WHOLE_WIDTH
from trainer.pretraining.views.crops import NUM_GLOBAL

PEAK_BF16 = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "B200": 2250e12}
"""Dense bfloat16 operations per second of the SXM parts, from NVIDIA's data sheets."""


def encoder_operations(config: EncoderConfig, image_size: int) -> float:
    """Multiplications and additions of one image's forward pass; norms and activations, which are few, left out."""
    tokens = 1 + (image_size // config.patch_size) ** 2
    width = config.hidden_size
    first = (2 if config.use_swiglu_ffn else 1) * config.ffn_width
    per_token = 4 * width * width + width * first + config.ffn_width * width
    attention = 2 * tokens * width
    patches = (tokens - 1) * config.num_channels * config.patch_size**2 * width
    return 2.0 * (config.num_hidden_layers * tokens * (per_token + attention) + patches)


def step_operations(config: PretrainingConfig) -> float:
    """Operations for one slice in one step: the student's forward and backward pass (three forwards), and one forward
    pass of the teacher and of the frozen network where a loss with a weight asks for them.

    config : with a stage's sizes in [crops]. What drop path leaves out is not counted, nor is what checkpointed
    activations cost again: it is the work that the training asks for.
    """
    crops, encoder, losses = config.crops, config.encoder_config, config.losses
    seen = NUM_GLOBAL * encoder_operations(encoder, crops.global_size)
    local = crops.num_local * encoder_operations(encoder, crops.local_size) if losses.dino else 0.0
    patches = NUM_GLOBAL * encoder.grid_size**2
    masked = patches * config.masking.probability * sum(config.masking.ratio) / 2
    student = (1 - config.run.drop_path) * (seen + local)
    if losses.dino:
        student += (NUM_GLOBAL + crops.num_local) * _head_operations(config)
    if losses.ibot:
        student += masked * _head_operations(config)
    if losses.distillation:
        student += 2.0 * encoder.hidden_size * (patches * TOKEN_WIDTH + NUM_GLOBAL * WHOLE_WIDTH)
    if losses.reconstruction:
        student += 2.0 * encoder.hidden_size * patches * encoder.patch_size**2
    if losses.retention:
        student += 2.0 * encoder.hidden_size**2 * (patches - masked)
    asks_teacher = losses.dino or losses.ibot
    teacher = seen + (NUM_GLOBAL + masked) * _head_operations(config) if asks_teacher else 0.0
    frozen = NUM_GLOBAL * crops.global_size**2 * OPERATIONS_PER_PIXEL if losses.distillation else 0.0
    untrained = seen if losses.retention else 0.0
    return 3 * student + teacher + frozen + untrained


def _head_operations(config: PretrainingConfig) -> float:
    """Operations of DINO's or iBOT's head, for one token."""
    losses = config.losses
    hidden, bottleneck = losses.head_hidden_dim, losses.head_bottleneck_dim
    middle = hidden * hidden * max(losses.head_layers - 2, 0)
    width = config.encoder_config.hidden_size
    return 2.0 * (width * hidden + middle + hidden * bottleneck + bottleneck * losses.prototypes)


def peak_operations(device: torch.device) -> float | None:
    """Per second; None where the device is not in the table."""
    if device.type != "cuda":
        return None
    return named_peak(torch.cuda.get_device_name(device))


def named_peak(name: str) -> float | None:
    """The peak by the name that CUDA tells. PCIe and NVL parts of the same numbers are slower, and not in the table."""
    if "PCIe" in name or "NVL" in name:
        return None
    return next((peak for part, peak in PEAK_BF16.items() if part in name), None)


class Stopwatch:
    """What one process did from one report to the next.

    operations : of one slice in one step
    """

    def __init__(self, operations: float, device: torch.device) -> None:
        self._operations, self._peak = operations, peak_operations(device)
        self._restart()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._waited += time.perf_counter() - start

    def count(self, num_slices: int) -> None:
        self._slices += num_slices

    def report(self, *, world: int) -> dict[str, float]:
        """images_per_second of all processes; data_wait and mfu (where the peak is known) as shares of this one's."""
        elapsed = time.perf_counter() - self._start
        found = {"images_per_second": world * self._slices / elapsed, "data_wait": self._waited / elapsed}
        if self._peak is not None:
            found["mfu"] = self._operations * self._slices / elapsed / self._peak
        self._restart()
        return found

    def _restart(self) -> None:
        self._start, self._waited, self._slices = time.perf_counter(), 0.0, 0
