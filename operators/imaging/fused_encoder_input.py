"""The encoder's input straight from pixels, on a GPU: rescale, resize, clamp, statistics and z-score.

The same steps as ``encoder_input``, in kernels that read a block of pixels from memory once and write the images once.
Reorientation is free: the slices may be any view, transposed and reversed axes included.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.utils.dlpack
from numpy.typing import NDArray

from operators.domain.features import EncoderInputSettings
from operators.domain.volume import AIR_HU
from operators.imaging import kernels
from operators.imaging.array_module import array_module_of
from operators.imaging.resampling import bicubic_weights

STRIP = 8
"""Output rows of a thread block, fewer where their source rows would not fit into shared memory."""

SHARED_BYTES = 48 * 1024
"""Shared memory that every GPU gives a block without being asked for more."""

_OUT_TYPES = {torch.float32: "float", torch.float16: "__half", torch.bfloat16: "__nv_bfloat16"}


@dataclass(frozen=True, slots=True)
class PixelValues:
    """What a stored pixel stands for.

    slope, intercept : stored values to physical ones
    """

    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class SliceStatistics:
    """What normalises each slice.

    mean, deviation : (B,) float64, the deviation unbiased; of slices after their resize"""

    mean: Any
    deviation: Any


def prepare_block(
    slices: Any,
    settings: EncoderInputSettings,
    *,
    dtype: torch.dtype,
    values: PixelValues = PixelValues(),
    statistics: SliceStatistics | None = None,
) -> torch.Tensor:
    """(B, H, W) int16 or float32 pixels to (B, 1, P, P) images of *dtype* on the same device, not copied.

    The work goes to CuPy's current stream, after what PyTorch's current stream holds so far; PyTorch's stream waits
    for the result. A block prepared before the encoder is given the last one overlaps with it.
    Equal to the NumPy path up to 2e-5 in float32, where values are of the order of 1; the rounding of *dtype* comes on
    top.

    statistics : of the whole volume, for every slice the same, where ``zscore_scope`` asks for it; else the block's own
    """
    module = array_module_of(slices)
    if statistics is None:
        if settings.zscore_scope == "volume":
            raise ValueError("statistics: expected those of the whole volume for zscore_scope 'volume', got none")
        statistics = measure_block(slices, settings, values=values)
    with module.active():
        plan = _plan(slices, settings, values)
        device = None if module.device == "cpu" else module.device
        images = torch.empty((len(slices), 1, settings.image_size, settings.image_size), dtype=dtype, device=device)
        out = module.xp.from_dlpack(images if dtype == torch.float32 else images.view(torch.uint16))
        name = kernels.WRITE[plan.pixel_type, _OUT_TYPES[dtype]]
        arguments = (statistics.mean, statistics.deviation, np.float32(settings.eps), out)
        kernels.launch(module, name, plan.grid, (*plan.arguments, *arguments), shared_bytes=plan.shared_bytes)
        return torch.utils.dlpack.from_dlpack(out).view(dtype)


def measure_block(
    slices: Any, settings: EncoderInputSettings, *, values: PixelValues = PixelValues()
) -> SliceStatistics:
    """Statistics of each of the (B, H, W) slices as the encoder would see them; sums in an order that never changes."""
    module = array_module_of(slices)
    with module.active():
        plan = _plan(slices, settings, values)
        num_parts = plan.grid[0] * plan.grid[1]
        partial = module.xp.empty((len(slices), num_parts, 3), np.float64)
        mean, deviation = module.xp.empty((2, len(slices)), np.float64)
        name = kernels.MEASURE[plan.pixel_type]
        kernels.launch(module, name, plan.grid, (*plan.arguments, partial), shared_bytes=plan.shared_bytes)
        arguments = (partial, np.int32(num_parts), mean, deviation)
        kernels.launch(module, kernels.MERGE, (len(slices), 1, 1), arguments, shared_bytes=kernels.MOMENTS_BYTES)
    return SliceStatistics(mean, deviation)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What both passes over a block of pixels have in common."""

    pixel_type: np.dtype[Any]
    grid: tuple[int, int, int]
    shared_bytes: int
    arguments: tuple[Any, ...]


def _plan(slices: Any, settings: EncoderInputSettings, values: PixelValues) -> _Plan:
    pixel_type = np.dtype(slices.dtype)
    if pixel_type not in kernels.PIXEL_TYPES:
        raise ValueError(f"slices: expected int16 or float32 pixels, got {pixel_type}")
    xp, size = array_module_of(slices).xp, settings.image_size
    rows, columns = _axis_taps(slices.shape[1], size), _axis_taps(slices.shape[2], size)
    strip, num_lines = _strip(rows)
    arguments = (
        *(slices, *kernels.element_strides(slices)),
        *(np.float32(values.slope), np.float32(values.intercept)),
        *_preparation(settings),
        *(xp.asarray(rows.first), xp.asarray(rows.weights), np.int32(rows.taps)),
        *(xp.asarray(columns.first), xp.asarray(columns.weights), np.int32(columns.taps)),
        *(np.int32(size), np.int32(strip)),
    )
    grid = (-(-size // kernels.THREADS), -(-size // strip), len(slices))
    shared_bytes = max(4 * kernels.THREADS * num_lines, kernels.MOMENTS_BYTES)
    return _Plan(pixel_type, grid, shared_bytes, arguments)


def _preparation(settings: EncoderInputSettings) -> tuple[np.int32, np.float32]:
    """How the kernel treats values before the resize, and the clamp after it."""
    if settings.clip_mode == "inert":
        # The published clamp at -1000 comes after the scale by 1/32767, where nothing lies below it.
        kind = kernels.TRUNCATED_AND_SCALED if settings.casts_to_int16 else kernels.SCALED
        return np.int32(kind), np.float32(-np.inf)
    return np.int32(kernels.AS_THEY_ARE), np.float32(AIR_HU if settings.clip_below_air else -np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class _AxisTaps:
    """The weights of an axis without the zeros around them.

    first : (P,) int32, the first source index of each output
    weights : (taps, P) float32
    """

    first: NDArray[np.int32]
    weights: NDArray[np.float32]

    @property
    def taps(self) -> int:
        return len(self.weights)


@lru_cache(maxsize=16)
def _axis_taps(source: int, target: int) -> _AxisTaps:
    weights = bicubic_weights(source, target)
    used = weights != 0
    first, last = used.argmax(axis=1), source - 1 - used[:, ::-1].argmax(axis=1)
    taps = int((last - first).max()) + 1
    first = np.minimum(first, source - taps)
    columns = first + np.arange(taps)[:, None]
    return _AxisTaps(first.astype(np.int32), np.ascontiguousarray(weights[np.arange(target), columns]))


def _strip(rows: _AxisTaps) -> tuple[int, int]:
    """Output rows of a thread block, and the most source rows that they need."""
    target = len(rows.first)
    for strip in (STRIP, STRIP // 2, STRIP // 4, 1):
        last = np.minimum(np.arange(0, target, strip) + strip, target) - 1
        num_lines = int((rows.first[last] - rows.first[::strip]).max()) + rows.taps
        if 4 * kernels.THREADS * num_lines <= SHARED_BYTES:
            return strip, num_lines
    most = SHARED_BYTES // (4 * kernels.THREADS)
    raise ValueError(f"slices: expected at most {most} source rows to one of {target} output rows, got {rows.taps}")
