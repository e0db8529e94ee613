"""What goes into the encoder and what comes out of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume

BLOCK = 16
"""Slices whose tokens are worked on together: at most some 100 MB, whatever the length of the series."""


@dataclass(frozen=True, slots=True)
class EncoderInputSettings:
    """How slices are prepared, as the published image processor does it (preprocessor_config.json).

    image_size : pixels along both sides of the encoder's input
    clip_below_air : whether values under -1000 are lifted to -1000
    clip_mode : "inert" repeats the published NumPy path, which scales int16 by 1/32767 *before* the clamp at
        -1000, so that the clamp never acts; "effective" clamps HU first, as the processor does for tensors
    integer_cast : "published" truncates to int16 toward zero, as the published NumPy path does, where that takes no
        more than noise from a series; "skip" keeps fractions and values beyond int16 of every series. The processor's
        path for tensors ("effective") never casts
    zscore_scope : mean and standard deviation of each slice, or of all slices together
    eps : a standard deviation under this is taken for a constant image, which is only centred
    """

    image_size: int = 512
    clip_below_air: bool = True
    clip_mode: Literal["inert", "effective"] = "inert"
    integer_cast: Literal["published", "skip"] = "published"
    zscore_scope: Literal["slice", "volume"] = "slice"
    eps: float = 1e-6

    @property
    def casts_to_int16(self) -> bool:
        return self.clip_mode == "inert" and self.integer_cast == "published"

    @property
    def keeps_values(self) -> bool:
        """Whether values go on with their fractions, to a z-score that takes their scale away."""
        return self.clip_mode == "inert" and self.integer_cast == "skip"


@dataclass(frozen=True, slots=True, eq=False)
class EncoderInput:
    """Slices as the encoder takes them, made when they are asked for, so that a long series needs no more memory.

    source : the voxels that the slices are made of, on the CPU
    settings : how they are made; of this series, so that "skip" stands where the cast would have spoiled it
    geometry : of the (S, P, P) pixels, rows and columns in the published convention (axial P,L; coronal I,L;
        sagittal I,P)
    blocks : ``blocks(start, size)`` gives the slices from *start* to the end, *size* at a time, as
        (size, 1, P, P) float32, NumPy or CuPy, z-scored; the last block may be shorter
    remarks : what a reader of the results should know about them, in plain words
    """

    source: Volume
    settings: EncoderInputSettings
    geometry: Geometry
    blocks: Callable[[int, int], Iterator[Any]]
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.geometry.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureVolume:
    """The encoder's output for one series, with its place in the patient.

    cls : (S, D) float32, after the final norm
    tokens : (S, N, D) float32 after the final norm, N = rows x columns of the token grid; an array, or a file's
        tensor that is read when a range of slices is taken from it
    geometry : of the (S, rows, columns) grid of token centres, in the source's frame of reference
    states : (S, 1 + N, B D) float32, CLS first: the outputs of the last B blocks before the final norm, the last
        block's first; None where nobody asked for them
    """

    cls: Any
    tokens: Any
    geometry: Geometry
    states: Any = None

    def __post_init__(self) -> None:
        slices, rows, columns = self.geometry.shape
        if tuple(self.tokens.shape[:2]) != (slices, rows * columns) or self.cls.shape[0] != slices:
            raise ValueError(
                f"tokens: expected ({slices}, {rows * columns}, D) and cls ({slices}, D) for token grid "
                f"{self.geometry.shape}, got {tuple(self.tokens.shape)} and {tuple(self.cls.shape)}"
            )

    def token_blocks(self) -> Iterator[tuple[slice, Any]]:
        """The tokens a few slices at a time, each block with its place along the slice axis."""
        for start in range(0, self.geometry.shape[0], BLOCK):
            place = slice(start, min(start + BLOCK, self.geometry.shape[0]))
            yield place, self.tokens[place]
