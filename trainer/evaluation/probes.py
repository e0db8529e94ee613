"""What frozen features tell without any tuning: k-NN and a linear classifier, in closed form."""

import torch
from torch import Tensor
from torch.nn import functional

NEIGHBOURS = 20
KNN_TEMPERATURE = 0.07
"""DINOv2's: neighbours vote with the exponential of their cosine over it."""

RIDGE = 1e-2


def nearest_neighbours(fitted: Tensor, labels: Tensor, held_out: Tensor) -> Tensor:
    """(m,) the class that weighs most among the nearest by cosine.

    fitted : (n, D)
    labels : (n,) int64
    held_out : (m, D)
    """
    chosen: Tensor = neighbour_votes(fitted, functional.one_hot(labels).float(), held_out).argmax(dim=1)
    return chosen


def neighbour_votes(fitted: Tensor, targets: Tensor, held_out: Tensor) -> Tensor:
    """(m, C) the targets' mean over the nearest, weighted by the exponential of their cosine.

    targets : (n, C) of the fitted, classes as 0 and 1 or values
    """
    cosines = functional.normalize(held_out, dim=1) @ functional.normalize(fitted, dim=1).T
    nearest, places = cosines.topk(min(NEIGHBOURS, len(fitted)), dim=1)
    weights = ((nearest - nearest[:, :1]) / KNN_TEMPERATURE).exp()[..., None]
    return (targets[places] * weights).sum(dim=1) / weights.sum(dim=1)


def linear_classifier(fitted: Tensor, labels: Tensor, held_out: Tensor) -> Tensor:
    """(m,) by ridge regression on the classes, each as heavy as any other; standardised features, closed form."""
    mean, std = fitted.mean(dim=0), fitted.std(dim=0).clamp(min=1e-6)
    known = functional.pad((fitted - mean) / std, (0, 1), value=1.0).double()
    asked = functional.pad((held_out - mean) / std, (0, 1), value=1.0).double()
    targets = functional.one_hot(labels).double()
    weights = (1.0 / targets.sum(dim=0).clamp(min=1))[labels][:, None]
    gram = known.T @ (weights * known) + RIDGE * torch.eye(known.shape[1], dtype=torch.float64)
    answers: Tensor = (asked @ torch.linalg.solve(gram, known.T @ (weights * targets))).argmax(dim=1)
    return answers


def balanced_accuracy(answers: Tensor, true: Tensor) -> float:
    """The mean over classes of the share that is answered right."""
    return float(torch.stack([(answers[true == label] == label).float().mean() for label in set(true.tolist())]).mean())
