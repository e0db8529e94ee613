"""Slices become crops in a thread of their own, a little ahead of the training."""

import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch

from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.views.crops import Augmentation, CropBatch, make_crops

AHEAD = 2


class SampleBatches(Protocol):
    """One process's slices, batch by batch without an end."""

    def __next__(self) -> list[SliceSample]: ...

    def state(self) -> Mapping[str, object]:
        """What JSON can hold, from which the next batch and all after it come again."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """A batch's crops, and where reading stood after its slices were taken (`data_state`)."""

    crops: CropBatch
    data_state: Mapping[str, object]


class Batches:
    """The batches of the steps from *first_step* on; a context manager, for its thread.

    config : with a stage's sizes in [crops]
    seed : words; with the step's number they seed all that is random about its crops
    """

    def __init__(
        self,
        samples: SampleBatches,
        config: PretrainingConfig,
        *,
        seed: tuple[int, ...],
        first_step: int,
        device: torch.device,
        augment: Augmentation | None = None,
    ) -> None:
        self._device = device
        self._make = partial(make_crops, config=config, augment=augment, device=device)
        self._samples, self._seed, self._step = samples, seed, first_step
        self._ready: queue.Queue[Batch | Exception] = queue.Queue(AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="crops", daemon=True)

    def __enter__(self) -> Iterator[Batch]:
        self._thread.start()
        return self._taken()

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        while self._thread.is_alive():
            self._drain()
            self._thread.join(timeout=0.05)

    def _taken(self) -> Iterator[Batch]:
        while True:
            batch = self._ready.get()
            if isinstance(batch, Exception):
                raise batch
            yield batch

    def _work(self) -> None:
        try:
            if self._device.type == "cuda":
                # A new thread begins at GPU 0, and would open it in every process to pin memory.
                torch.cuda.set_device(self._device)
            while not self._closed.is_set():
                crops = self._make(next(self._samples), generator=np.random.default_rng((*self._seed, self._step)))
                self._ready.put(Batch(crops, self._samples.state()))
                self._step += 1
        except StopIteration:
            self._ready.put(RuntimeError(f"data: ended before step {self._step}; expected batches without an end"))
        except Exception as error:  # noqa: BLE001 -- raised again where the batch is taken
            self._ready.put(error)

    def _drain(self) -> None:
        while not self._ready.empty():
            self._ready.get_nowait()
