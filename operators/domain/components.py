"""Connected components of a mask, by their size. Neighbours share a face (an edge in 2D)."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The one component with most elements, the first of equals; nothing where the mask is empty."""
    return _of_sizes(mask, lambda sizes: np.arange(len(sizes)) == np.argmax(sizes))


def without_small_components(mask: NDArray[np.bool_], smallest: float) -> NDArray[np.bool_]:
    """The mask without the components of fewer than *smallest* elements."""
    return _of_sizes(mask, lambda sizes: sizes >= smallest)


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
    components, _ = ndimage.label(mask)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    keep = choose(sizes)
    keep[0] = False
    return np.asarray(keep[components])
