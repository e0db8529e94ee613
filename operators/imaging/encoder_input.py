"""From a volume to the slices that the encoder takes, as the published image processor prepares them.

The published order for one slice given as a NumPy array: cast to int16, scale by 1/32767, bicubic resize, clamp at
-1000, z-score. The scale makes the clamp inert. A tensor is neither cast nor scaled, and its clamp acts.
`EncoderInputSettings` says which is wanted. Slices are made a block at a time, when the encoder asks for them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from operators.domain.features import EncoderInput, EncoderInputSettings
from operators.domain.volume import AIR_HU, Volume
from operators.errors import UnsupportedPixelDataError
from operators.imaging.array_module import CPU, ArrayModule, array_module_of
from operators.imaging.fused_encoder_input import PixelValues, SliceStatistics, prepare_block
from operators.imaging.resampling import resize_slices

INT16_MAX = 32767
"""The published processor's scale, and the largest value that its cast leaves alone."""

LARGEST_TRUNCATION = 0.01
"""Share of the standard deviation: what the cast may take away (RMS) before it is left out. Scanner noise is larger."""

BLOCK = 16
"""Slices that are looked at together, so that temporary arrays stay small whatever the length of the series."""

_LPS = {"L": (0, 1), "P": (1, 1), "S": (2, 1), "I": (2, -1)}
"""Letter to LPS component and sign."""

_PLANES = ("LIP", "PIL", "SPL")
"""Where (slice, row, column) point for sagittal, coronal and axial slices, by the LPS component of the slice axis."""


def make_encoder_input(volume: Volume, settings: EncoderInputSettings, array_module: ArrayModule = CPU) -> EncoderInput:
    """Slices for the encoder, with the place of their pixels in the patient; they are made on *array_module*.

    Where the published cast to int16 would wrap values round or take away more than noise, the series is not cast. The
    z-score takes its scale away again.

    volume : on the CPU

    Raises
    ------
    UnsupportedPixelDataError
        A value is not finite.
    """
    oriented = orient_for_encoder(volume)
    largest, lost = _measured(oriented.array, casts=settings.casts_to_int16)
    cost = _cast_cost(oriented.array, largest, lost) if settings.casts_to_int16 else None
    if cost:
        settings = replace(settings, integer_cast="skip")
    preparation = _Preparation(settings, _gain(largest) if settings.keeps_values else 1.0, array_module)
    if settings.zscore_scope == "volume":
        blocks_of_it = (oriented.array[block] for block in _spans(0, len(oriented.array), BLOCK))
        preparation = replace(preparation, statistics=_volume_statistics(map(preparation.prepared, blocks_of_it)))
    size = (oriented.geometry.shape[0], settings.image_size, settings.image_size)
    remarks = (f"{cost}; the slices are encoded without it",) if cost else ()
    blocks = partial(_blocks, oriented.array, preparation)
    return EncoderInput(oriented, settings, oriented.geometry.rescaled(size), blocks, remarks)


def orient_for_encoder(volume: Volume) -> Volume:
    """The volume with its axes as the encoder was trained on: axial P,L; coronal I,L; sagittal I,P.

    Axes are only swapped and reversed, never interpolated; an oblique volume takes the nearest of the three planes.
    Slices run to S, P or L, the published order.
    """
    slice_component = int(np.argmax(np.abs(volume.geometry.directions[:, 0])))
    letters = _PLANES[slice_component]
    row_component, _ = _LPS[letters[1]]
    along_row_axis, along_column_axis = np.abs(volume.geometry.directions[row_component, 1:])
    if along_row_axis < along_column_axis:
        volume = volume.permuted((0, 2, 1))
    for axis, letter in enumerate(letters):
        component, sign = _LPS[letter]
        if volume.geometry.directions[component, axis] * sign < 0:
            volume = volume.flipped(axis)
    return volume


def _measured(array: Any, *, casts: bool) -> tuple[float, float]:
    """The largest size of a value in (S, H, W) on the CPU, and the squares of what a cast takes away, in one pass."""
    largest, lost = 0.0, 0.0
    for span in _spans(0, len(array), BLOCK):
        block = array[span]
        of_block = max(float(block.max()), -float(block.min()))
        if not np.isfinite(of_block):
            raise UnsupportedPixelDataError("encoder input: expected finite values, got some that are not")
        largest = max(largest, of_block)
        if casts:
            lost += float(np.square(block - np.trunc(block)).sum(dtype=np.float64))
    return largest, lost


def _cast_cost(array: Any, largest: float, lost: float) -> str | None:
    """What the published cast to int16 would spoil, in plain words; None where it takes no more than noise."""
    if largest > INT16_MAX:
        return f"the published cast to int16 would wrap values of up to {largest:g} round"
    truncation = (lost / array.size) ** 0.5
    deviation = _deviation(array) if lost else 0.0
    if truncation <= LARGEST_TRUNCATION * deviation:
        return None
    return (
        f"the published cast to int16 would take {truncation:.3g} (RMS) from values with a standard deviation of "
        f"{deviation:.3g}"
    )


def _gain(largest: float) -> float:
    """The power of two that brings the largest value just under that of int16.

    It changes no digit of a value, and keeps small ones from being taken for a constant image (``eps``).
    """
    return float(2.0 ** np.clip(np.floor(np.log2(INT16_MAX / largest)), -100, 100)) if largest else 1.0


def _deviation(array: Any) -> float:
    """Standard deviation of all values, without a copy of the array."""
    mean = float(array.mean(dtype=np.float64))
    squares = (
        float(np.square(array[span] - np.float32(mean)).sum(dtype=np.float64)) for span in _spans(0, len(array), BLOCK)
    )
    return float((sum(squares) / array.size) ** 0.5)


@dataclass(frozen=True, slots=True, eq=False)
class _Preparation:
    """How slices of one series become images.

    gain : what values are multiplied by before everything else
    statistics : mean and standard deviation of the whole volume, where they are asked for
    """

    settings: EncoderInputSettings
    gain: float
    module: ArrayModule
    statistics: tuple[Any, Any] | None = None

    def images(self, array: Any) -> Any:
        """(n, 1, P, P) float32, ready for the encoder."""
        if self.module.device != "cpu":
            return self._images_on_gpu(array)
        slices = self.prepared(array)
        _standardise(slices, *(self.statistics or _statistics(slices)), eps=self.settings.eps)
        return slices[:, None]

    def _images_on_gpu(self, array: Any) -> Any:
        """The same by our kernels, up to their rounding; int16 goes up where int16 is what the values are cast to."""
        slices = self.module.asarray(array.astype(np.int16) if self.settings.casts_to_int16 else array)
        of_slices = None
        if self.statistics:
            full = (self.module.xp.full(len(slices), value, np.float64) for value in self.statistics)
            of_slices = SliceStatistics(*full)
        values = PixelValues(slope=self.gain)
        return prepare_block(slices, self.settings, dtype=torch.float32, values=values, statistics=of_slices)

    def prepared(self, array: Any) -> Any:
        """(n, H, W) on the CPU to (n, P, P) float32 on the module's device: everything that comes before the z-score.

        Never a view of *array*: the z-score works in place.
        """
        settings, module = self.settings, self.module
        if settings.clip_mode == "inert":
            # Cast before it goes up: half the bytes.
            values = array.astype(np.int16) if settings.casts_to_int16 else array
            scaled = module.asarray(values).astype(np.float32) / np.float32(INT16_MAX / self.gain)
            return resize_slices(scaled, settings.image_size)
        resized = resize_slices(module.asarray(array), settings.image_size)
        return module.xp.maximum(resized, np.float32(AIR_HU if settings.clip_below_air else -np.inf))


def _blocks(array: Any, preparation: _Preparation, start: int, size: int) -> Iterator[Any]:
    """``EncoderInput.blocks``; on a GPU the next block is made while the caller works on one."""
    spans = _spans(start, len(array), size)

    def make(span: slice) -> Any:
        return preparation.images(array[span])

    return map(make, spans) if preparation.module.device == "cpu" else _overlapped(make, spans, preparation.module)


def _overlapped(make: Callable[[slice], Any], spans: Iterator[slice], module: ArrayModule) -> Iterator[Any]:
    """Blocks made on a CUDA stream of their own, one ahead of the caller's stream."""
    cuda = module.xp.cuda
    with module.active():
        stream, caller = cuda.Stream(non_blocking=True), torch.cuda.current_stream()
        torch_stream = torch.cuda.ExternalStream(stream.ptr, device=module.device)  # type: ignore[no-untyped-call]

    def launch(span: slice) -> tuple[Any, Any]:
        # Both libraries work on the one stream here, or each would make the other wait for the caller's.
        with module.active(), stream, torch.cuda.stream(torch_stream):
            block = make(span)
            return block, torch_stream.record_event()

    def handed_over(block: Any, made: Any) -> Any:
        caller.wait_event(made)
        block.record_stream(caller)
        return block

    upcoming = launch(next(spans))
    for span in spans:
        ready, upcoming = upcoming, launch(span)
        yield handed_over(*ready)
    yield handed_over(*upcoming)


def _statistics(slices: Any) -> tuple[Any, Any]:
    """Mean and standard deviation of each slice, (n, 1, 1) float64."""
    # float64 sums: a float32 mean over 10^7 pixels drifts, and the NumPy and CuPy paths should agree.
    mean = slices.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    return mean, slices.std(axis=(1, 2), keepdims=True, dtype=np.float64, ddof=1)


def _volume_statistics(blocks: Iterator[Any]) -> tuple[Any, Any]:
    """Mean and standard deviation over all slices, from those of blocks."""
    means, deviations, num_pixels = [], [], 0
    for slices in blocks:
        mean, deviation = _statistics(slices)
        means.append(mean)
        deviations.append(deviation)
        num_pixels = slices.shape[1] * slices.shape[2]
    xp = array_module_of(means[0]).xp
    mean, deviation = xp.concatenate(means), xp.concatenate(deviations)
    squares = (deviation**2).sum() * (num_pixels - 1) + ((mean - mean.mean()) ** 2).sum() * num_pixels
    return mean.mean(), xp.sqrt(squares / (len(mean) * num_pixels - 1))


def _standardise(slices: Any, mean: Any, deviation: Any, *, eps: float) -> None:
    """To zero mean and unit (unbiased) standard deviation, in place; a constant image is only centred."""
    xp = array_module_of(slices).xp
    slices -= mean.astype(np.float32)
    slices /= xp.where(deviation < eps, 1.0, deviation).astype(np.float32)


def _spans(start: int, stop: int, size: int) -> Iterator[slice]:
    return (slice(at, min(at + size, stop)) for at in range(start, stop, size))
