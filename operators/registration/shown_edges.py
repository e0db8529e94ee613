"""How well the edges of two images agree under a transform, over what the moving one shows of the fixed body."""

from functools import cached_property

from torch import Tensor

from operators.registration.image_lattice import ImageLattice, Matrix, places_under
from operators.registration.lattice import box_mean, identity_places, inside, pooled, sample
from operators.registration.quality import edge_agreement

LEAST_INTERIOR = 0.125
"""Of the body's points: with fewer its interior is not asked by itself."""


class ShownEdges:
    """Two images, each on its own lattice, to be judged under any number of transforms."""

    def __init__(self, fixed: ImageLattice, moving: ImageLattice) -> None:
        self.fixed, self.moving = fixed, moving
        self.is_flat = fixed.geometry.shape[0] == 1

    def under(self, pose: Matrix, displacements: Tensor | None = None) -> tuple[float, float]:
        """The agreement of edges, and the share of the fixed body that the moving image shows.

        displacements : (3, D, H, W) before the pose, in steps of the fixed lattice

        In volumes edges have to agree within the body too: its skin alone would speak for any other body of like
        outline. A body so small or thin that next to nothing is left of it without the skin is asked as a whole.
        """
        places = self._places if displacements is None else self._places + displacements
        there = places_under(pose, self.fixed.geometry, self.moving.geometry, places)
        shown = inside(there, self.moving.geometry.shape).float()
        moved = pooled(sample(self.moving.image, there), 2)[0]
        whole, within = (pooled((area * shown)[None], 2)[0] > 0.9 for area in (self._body_and_skin, self._interior))
        edges = edge_agreement(self._image, moved, whole)
        if not self.is_flat and within.sum() >= LEAST_INTERIOR * whole.sum():
            edges = min(edges, edge_agreement(self._image, moved, within))
        body = self.fixed.body[0] > 0.5
        return edges, float(shown[body].mean()) if body.any() else 0.0

    @cached_property
    def _places(self) -> Tensor:
        return identity_places(self.fixed.geometry.shape, self.fixed.image.device)

    @cached_property
    def _image(self) -> Tensor:
        return pooled(self.fixed.image, 2)[0]

    @cached_property
    def _body_and_skin(self) -> Tensor:
        return body_and_skin(self.fixed.body)

    @cached_property
    def _interior(self) -> Tensor:
        """(D, H, W) the body without its skin, which any two bodies of like outline share."""
        return (_blurred(self.fixed.body) > 0.98).float()


def body_and_skin(body: Tensor) -> Tensor:
    """(D, H, W) of a (1, D, H, W) body: outlines need both of their sides."""
    return (_blurred(body) > 0.02).float()


def _blurred(body: Tensor) -> Tensor:
    return box_mean(body, radius=2, passes=2)[0]
