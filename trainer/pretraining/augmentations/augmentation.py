"""All of them in the order of an acquisition: patient, coil, detector, reconstruction, display.

What is drawn is drawn on the host, so that a device never has to tell which crops are changed; only the noise is made
where the crops are. Crops keep their unit; the z-score comes after (crops.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.pretraining.augmentations.bias_field import NUM_COEFFICIENTS, multiply_by_fields
from trainer.pretraining.augmentations.gamma import apply_gamma
from trainer.pretraining.augmentations.noise import add_gaussian_noise, add_rician_noise
from trainer.pretraining.augmentations.placing import turn_and_zoom
from trainer.pretraining.augmentations.resolution import coarsen
from trainer.pretraining.augmentations.windows import clamp_to_windows
from trainer.pretraining.config import AugmentationSettings
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.views.device_transfer import to_device

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class IntensityAndPlacing:
    """An `Augmentation` of crops.py: same crops, slices and generator state, same result on one device."""

    settings: AugmentationSettings

    def __call__(self, crops: Tensor, samples: Sequence[SliceSample], rng: np.random.Generator) -> Tensor:
        """(n, 1, S, S) float32 in HU or scanner units, the slice of each, to crops alike; *crops* may be changed."""
        if not self.settings.enabled:
            return crops
        draw = _Draw(crops, rng)
        is_hu, is_mr = (
            np.array(flags) for flags in ([s.values == "HU" for s in samples], [s.modality == "MR" for s in samples])
        )
        for probability, where, change in self._changes(draw, is_hu, is_mr):
            chosen = np.flatnonzero(where & (rng.random(len(crops)) < probability))
            if len(chosen):
                places = draw.on_device(torch.from_numpy(chosen))
                crops[places] = change(crops[places])
        return crops

    def _changes(
        self, draw: "_Draw", is_hu: NDArray[np.bool_], is_mr: NDArray[np.bool_]
    ) -> list[tuple[float, NDArray[np.bool_], Change]]:
        """Probability, the crops that may be changed, and the change of those chosen."""
        settings, everywhere = self.settings, np.ones_like(is_hu)
        return [
            (settings.placing, everywhere, partial(_place, draw, settings)),
            (settings.mr.bias, is_mr, partial(_bias, draw, settings)),
            (settings.mr.gamma, ~is_hu, partial(_gamma, draw, settings)),
            (settings.resolution, everywhere, partial(_coarsen, draw, settings)),
            (settings.ct.noise, is_hu, partial(_ct_noise, draw, settings)),
            (settings.mr.noise, ~is_hu, partial(_mr_noise, draw, settings)),
            (settings.ct.window, is_hu, partial(_window, draw, settings)),
        ]


class _Draw:
    """Random numbers for some crops, drawn on the host and moved to the crops' device."""

    def __init__(self, crops: Tensor, rng: np.random.Generator) -> None:
        self.rng = rng
        self._device = crops.device
        self.generator = torch.Generator(crops.device).manual_seed(int(rng.integers(2**63)))

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return self.tensor(self.rng.uniform(low, high, shape))

    def tensor(self, values: NDArray[np.float64]) -> Tensor:
        return self.on_device(torch.from_numpy(values.astype(np.float32)))

    def on_device(self, tensor: Tensor) -> Tensor:
        return to_device(tensor, self._device)


def _place(draw: _Draw, settings: AugmentationSettings, crops: Tensor) -> Tensor:
    turn, zoom = np.radians(settings.rotation_degrees), np.log(settings.zoom)
    return turn_and_zoom(crops, draw.uniform(-turn, turn, len(crops)), draw.uniform(-zoom, zoom, len(crops)).exp())


def _bias(draw: _Draw, settings: AugmentationSettings, crops: Tensor) -> Tensor:
    shapes = draw.tensor(draw.rng.normal(size=(len(crops), NUM_COEFFICIENTS)))
    return multiply_by_fields(crops, shapes, draw.uniform(0.0, settings.mr.bias_log, len(crops)))


def _gamma(draw: _Draw, settings: AugmentationSettings, crops: Tensor) -> Tensor:
    return apply_gamma(crops, draw.uniform(-settings.mr.gamma_log, settings.mr.gamma_log, len(crops)).exp())


def _coarsen(draw: _Draw, settings: AugmentationSettings, crops: Tensor) -> Tensor:
    return coarsen(crops, draw.uniform(1.0, settings.pixel_factor, len(crops)))


def _ct_noise(draw: _Draw, settings: AugmentationSettings, crops: Tensor) -> Tensor:
    return add_gaussian_noise(crops, draw.uniform(0.0, settings.ct.noise_hu, len(crops)), draw.generator)


def _mr_noise(draw: _Draw, settings: AugmentationSettings, crops: Tensor) -> Tensor:
    spans = crops.amax(dim=(1, 2, 3)) - crops.amin(dim=(1, 2, 3))
    return add_rician_noise(crops, spans * draw.uniform(0.0, settings.mr.noise_share, len(crops)), draw.generator)


def _window(draw: _Draw, settings: AugmentationSettings, crops: Tensor) -> Tensor:
    ranges = np.array(settings.ct.windows)[draw.rng.integers(len(settings.ct.windows), size=len(crops))]
    jitter = settings.ct.window_jitter_hu
    moved = draw.tensor(ranges + draw.rng.uniform(-jitter, jitter, ranges.shape))
    return clamp_to_windows(crops, moved[:, 0], moved[:, 1])
