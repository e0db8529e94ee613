"""Layers as they begin, and as they are written when a fit is over: plain weights of what the encoder gives."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from operators.heads.linear import Linear


def begin(modules: Iterable[nn.Module], generator: torch.Generator) -> None:
    """He et al. 2015, for layers before a ReLU; biases 0."""
    for module in modules:
        assert isinstance(module, nn.Linear | nn.Conv2d)
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def folded(layer: nn.Conv2d, norm: nn.BatchNorm2d) -> Linear:
    """A convolution with the batch norm after it, by its running mean and variance (Ioffe and Szegedy 2015)."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return Linear(
        *fuse_conv_bn_weights(
            layer.weight, layer.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
    )


def standardised(linear: Linear, mean: Tensor, scale: Tensor) -> Linear:
    """The map of features that are not standardised yet: of ``(features - mean) / scale`` it was fitted."""
    weight = linear.weight / scale
    return Linear(weight, linear.bias - weight @ mean)


def plain(linear: Linear) -> Linear:
    """The same in NumPy arrays, row by row however a fit laid them: safetensors writes memory as it lies."""
    return Linear(*(np.ascontiguousarray(part.detach().numpy()) for part in (linear.weight, linear.bias)))
