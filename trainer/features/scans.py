"""A labelled scan, as heads and encoders are measured on it."""

from dataclasses import dataclass, replace

from operators.domain.volume import Volume
from operators.heads.scope import Region

FITTED_SLICES = 16
"""At most about so many slices of a long scan are fitted on; neighbours look alike."""


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """One series of one patient, its axes already in the encoder's convention.

    regions : body region of each slice, None where it is between two or not sure
    organs : (D, H, W) uint8 on the volume's grid, k for the k-th organ, 255 where nobody knows; None where nobody
        labelled
    mass : (D, H, W) bool on the volume's grid; None where nobody looked
    """

    patient: str
    name: str
    modality: str
    volume: Volume
    regions: tuple[Region | None, ...]
    organs: Volume | None = None
    mass: Volume | None = None

    @property
    def has_mass(self) -> bool:
        """Whether somebody outlined one in it."""
        return self.mass is not None and bool(self.mass.array.any())

    @property
    def sparse_step(self) -> int:
        """How many slices from one that is fitted on to the next."""
        return max(1, self.volume.geometry.shape[0] // FITTED_SLICES)

    def windowed(self, start: tuple[int, int, int], stop: tuple[int, int, int]) -> "Scan":
        """What lies between two corners of the grid; every slice stays."""
        return replace(
            self,
            volume=self.volume.cropped(start, stop),
            organs=None if self.organs is None else self.organs.cropped(start, stop),
            mass=None if self.mass is None else self.mass.cropped(start, stop),
        )

    def thinned(self, step: int) -> "Scan":
        """Every *step*-th slice."""
        return replace(
            self,
            volume=self.volume.strided((step, 1, 1)),
            regions=self.regions[::step],
            organs=None if self.organs is None else self.organs.strided((step, 1, 1)),
            mass=None if self.mass is None else self.mass.strided((step, 1, 1)),
        )
