"""How large an image may be before reading it counts as an attack or a mistake."""

from pydantic import BaseModel, ConfigDict, Field


class ReadLimits(BaseModel):
    """Checked against headers before anything is allocated.

    max_slice_pixels : rows times columns of one slice
    max_slices : planes that one volume is made of
    max_volume_bytes : of the finished float32 volume
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_slice_pixels: int = Field(4096 * 4096, ge=1)
    max_slices: int = Field(10_000, ge=1)
    max_volume_bytes: int = Field(4 * 1024**3, ge=1)


DEFAULT_LIMITS = ReadLimits()
