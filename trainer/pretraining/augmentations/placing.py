"""The patient lying a little differently, in a little larger or smaller field of view."""

import torch
from torch import Tensor
from torch.nn import functional


def turn_and_zoom(crops: Tensor, radians: Tensor, zoom: Tensor) -> Tensor:
    """(n, 1, S, S) crops turned about their middle and magnified; beyond the edge its own values go on.

    radians : (n,), from the row axis towards the column axis as the picture is shown, clockwise
    zoom : (n,), above 1 what is shown gets larger
    """
    cosine, sine = radians.cos() / zoom, radians.sin() / zoom
    still = torch.zeros_like(zoom)
    # affine_grid asks where each pixel of the result comes from, in (x, y): the inverse of the turn.
    inverse = torch.stack([torch.stack([cosine, sine, still], -1), torch.stack([-sine, cosine, still], -1)], dim=1)
    grid = functional.affine_grid(inverse, list(crops.shape), align_corners=False)
    return functional.grid_sample(crops, grid, mode="bilinear", padding_mode="border", align_corners=False)
