"""Connected components of a mask, by their size. Neighbours share a face (an edge in 2D)."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.domain.bounding_box import bounding_box


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The one component with most elements, the first of equals; nothing where the mask is empty."""
    return _of_sizes(mask, lambda sizes: np.arange(len(sizes)) == np.argmax(sizes))


def without_small_components(mask: NDArray[np.bool_], smallest: float) -> NDArray[np.bool_]:
    """The mask without the components of fewer than *smallest* elements."""
    return _of_sizes(mask, lambda sizes: sizes >= smallest)


def without_small_holes(mask: NDArray[np.bool_], smallest: float) -> NDArray[np.bool_]:
    """The mask with its holes of fewer than *smallest* elements filled.

    A hole is a component of what is not in the mask, as far as it stays in the mask's bounding box. The array's edge
    closes it, so that a slice has holes, too.
    """
    if not mask.any():
        return mask
    box = bounding_box(mask)
    holes, _ = ndimage.label(~mask[box])
    small = np.bincount(holes.ravel()) < smallest
    for axis, (side, length) in enumerate(zip(box, mask.shape, strict=True)):
        if side.start > 0:
            small[holes.take(0, axis)] = False
        if side.stop < length:
            small[holes.take(-1, axis)] = False
    filled = mask.copy()
    filled[box] |= small[holes]
    return filled


def components_by_weight(mask: NDArray[np.bool_], weights: NDArray[np.floating]) -> Iterator[NDArray[np.bool_]]:
    """Each component as a mask of its own, the one whose elements have the largest sum of *weights* first."""
    components, count = ndimage.label(mask)
    sums = np.bincount(components.ravel(), weights=np.ravel(weights), minlength=count + 1)[1:]
    return (np.asarray(components == 1 + number) for number in np.argsort(-sums, kind="stable"))


def components_at(mask: NDArray[np.bool_], places: Iterable[tuple[slice, ...]]) -> NDArray[np.bool_]:
    """The components that have an element in one of the boxes *places*."""
    components, count = ndimage.label(mask)
    keep = np.zeros(count + 1, bool)
    for place in places:
        keep[components[place]] = True
    keep[0] = False
    return np.asarray(keep[components])


def _of_sizes(mask: NDArray[np.bool_], choose: Callable[[NDArray[np.intp]], NDArray[np.bool_]]) -> NDArray[np.bool_]:
    box = bounding_box(mask)
    components, _ = ndimage.label(mask[box])
    sizes = np.bincount(components.ravel(), minlength=1)
    sizes[0] = 0
    keep = choose(sizes)
    keep[0] = False
    kept = np.zeros_like(mask)
    kept[box] = keep[components]
    return kept
