"""How large an input may be before reading it counts as an attack or a mistake."""

from collections.abc import Sequence
from math import prod

from pydantic import BaseModel, ConfigDict, Field

from operators.errors import ResourceError

_BYTES_PER_VOXEL = 4


class ReadLimits(BaseModel):
    """Checked against headers before anything is allocated, and against what is unpacked while it is.

    max_slice_pixels : rows times columns of one slice
    max_slices : planes that one volume is made of
    max_volume_bytes : of the finished float32 volume
    max_inflated_bytes : what one deflated file may unpack to; deflate packs a thousandfold, so a file of 10 MB could
        ask for 10 GB
    max_archive_members : in all zip files of a study; the largest studies have some 20,000 images
    max_unpacked_bytes : what all zip files of a study may unpack to, counted while it is written, not as they declare
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_slice_pixels: int = Field(4096 * 4096, ge=1)
    max_slices: int = Field(10_000, ge=1)
    max_volume_bytes: int = Field(4 * 2**30, ge=1)
    max_inflated_bytes: int = Field(2**30, ge=1)
    max_archive_members: int = Field(100_000, ge=1)
    max_unpacked_bytes: int = Field(32 * 2**30, ge=1)

    def check_count(self, num_slices: int, name: str) -> None:
        """Hold the slices of a volume against the limit; *name* is what the message calls it.

        Raises
        ------
        ResourceError
            When there are more.
        """
        if num_slices > self.max_slices:
            raise ResourceError(f"{name}: {num_slices} slices, the limit is {self.max_slices} (max_slices)")

    def check_size(self, shape: Sequence[int], name: str) -> None:
        """Hold a volume of *shape* against the limit.

        Raises
        ------
        ResourceError
            When it is larger.
        """
        size = prod(shape) * _BYTES_PER_VOXEL
        if size > self.max_volume_bytes:
            raise ResourceError(
                f"{name}: a volume of {' x '.join(map(str, shape))} voxels takes {size} bytes, the limit is "
                f"{self.max_volume_bytes} (max_volume_bytes)"
            )


DEFAULT_LIMITS = ReadLimits()
