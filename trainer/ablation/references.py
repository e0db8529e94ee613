"""Features that nothing was learned for; what a probe makes of them is what training has to beat."""

import torch
from torch import Tensor
from torch.nn import functional


def places(images: Tensor, *, patch_size: int) -> Tensor:
    """(n, 1 + N, 14) polynomials of a token's row and column up to the fourth order, the image unseen.

    images : (n, 1, S, S); only its size counts
    """
    grid = images.shape[-1] // patch_size
    line = torch.linspace(-1.0, 1.0, grid)
    row, column = torch.meshgrid(line, line, indexing="ij")
    powers = [row**i * column**j for i in range(5) for j in range(5) if 0 < i + j <= 4]
    tokens = torch.stack(powers, dim=-1).reshape(1, grid * grid, -1).expand(len(images), -1, -1)
    return _with_mean(tokens)


def pixel_statistics(images: Tensor, *, patch_size: int) -> Tensor:
    """(n, 1 + N, 7) mean, standard deviation and the 5, 25, 50, 75, 95 % quantiles of each patch."""
    patches = functional.unfold(images, patch_size, stride=patch_size).mT  # (n, N, P * P)
    levels = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])
    quantiles = torch.quantile(patches, levels, dim=-1).permute(1, 2, 0)
    tokens = torch.cat([patches.mean(-1, keepdim=True), patches.std(-1, keepdim=True), quantiles], dim=-1)
    return _with_mean(tokens)


def _with_mean(tokens: Tensor) -> Tensor:
    """The mean over an image's patches in CLS's place."""
    return torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
