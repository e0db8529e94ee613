"""The learned position table on another token grid: for local crops, and when a stage hands over to a finer one."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional


def resize_positions(table: Tensor, grid: int) -> Tensor:
    """Bicubic, by size, without antialiasing: the rule of Hugging Face's Dinov2Embeddings. CLS keeps its row.

    table : (1, 1 + n * n, D)
    grid : tokens along each side that are wanted

    Returns
    -------
    (1, 1 + grid * grid, D); the table itself where nothing changes.
    """
    cls, patches = table[:, :1], table[:, 1:]
    old = round(patches.shape[1] ** 0.5)
    if old == grid:
        return table
    image = patches.float().mT.reshape(1, -1, old, old)
    resized = functional.interpolate(image, (grid, grid), mode="bicubic", align_corners=False)
    patches = resized.flatten(2).mT.to(table.dtype)
    return torch.cat([cls, patches], dim=1)


def hand_over(state: Mapping[str, Tensor], grid: int) -> dict[str, Tensor]:
    """A stage's last state for the next one: every position table, the student's and the teacher's, on its grid."""
    return {
        name: resize_positions(tensor, grid) if name.endswith("pos_embed") else tensor for name, tensor in state.items()
    }
