"""What goes into the encoder and what comes out of it."""

from dataclasses import dataclass
from typing import Any, Literal

from operators.domain.geometry import Geometry


@dataclass(frozen=True, slots=True)
class EncoderInputSettings:
    """How slices are prepared, as the published image processor does it (preprocessor_config.json).

    image_size : pixels along both sides of the encoder's input
    clip_below_air : whether values under -1000 are lifted to -1000
    clip_mode : "inert" repeats the published NumPy path, which scales int16 by 1/32767 *before* the clamp at
        -1000, so that the clamp never acts; "effective" clamps HU first, as the processor does for tensors
    zscore_scope : mean and standard deviation of each slice, or of all slices together
    eps : a standard deviation under this is taken for a constant image, which is only centred
    """

    image_size: int = 512
    clip_below_air: bool = True
    clip_mode: Literal["inert", "effective"] = "inert"
    zscore_scope: Literal["slice", "volume"] = "slice"
    eps: float = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class EncoderInput:
    """Slices as the encoder takes them.

    images : (S, 1, P, P) float32, NumPy or CuPy, z-scored
    geometry : of the (S, P, P) pixels, rows and columns in the published convention (axial P,L; coronal I,L;
        sagittal I,P)
    """

    images: Any
    geometry: Geometry


@dataclass(frozen=True, slots=True, eq=False)
class FeatureVolume:
    """The encoder's output for one series, with its place in the patient.

    cls : (S, D) float32, after the final norm
    tokens : (S, N, D) float32, after the final norm, N = rows x columns of the token grid
    geometry : of the (S, rows, columns) grid of token centres, in the source's frame of reference
    """

    cls: Any
    tokens: Any
    geometry: Geometry

    def __post_init__(self) -> None:
        slices, rows, columns = self.geometry.shape
        if tuple(self.tokens.shape[:2]) != (slices, rows * columns) or self.cls.shape[0] != slices:
            raise ValueError(
                f"tokens: expected ({slices}, {rows * columns}, D) and cls ({slices}, D) for token grid "
                f"{self.geometry.shape}, got {tuple(self.tokens.shape)} and {tuple(self.cls.shape)}"
            )
