"""What the teacher's features tell while it trains: k-NN and a linear probe on labelled slices, split by patient."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.views.crop_boxes import CropBox
from trainer.pretraining.views.crops import zscore
from trainer.pretraining.views.resampling import resample_each

NEIGHBOURS = 20
KNN_TEMPERATURE = 0.07
"""DINOv2's: neighbours vote with the exponential of their cosine over it."""

RIDGE = 1e-2
BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class ProbeSplit:
    """Slices with a label of one kind, patients apart.

    fitted, held_out : places in the list of samples
    labels : of every sample; "" where it has none
    """

    kind: str
    fitted: tuple[int, ...]
    held_out: tuple[int, ...]
    labels: tuple[str, ...]


def split_by_patient(samples: Sequence[SliceSample]) -> list[ProbeSplit]:
    """Body region and modality, as far as at least two classes are in both halves. A patient's half is its hash's."""
    splits = []
    for kind in ("region", "modality"):
        labels = tuple(getattr(sample, kind) or "" for sample in samples)
        labelled = [index for index, label in enumerate(labels) if label]
        fitted = tuple(index for index in labelled if _fits(samples[index].patient))
        known = {labels[index] for index in fitted}
        held_out = tuple(i for i in labelled if not _fits(samples[i].patient) and labels[i] in known)
        if len({labels[index] for index in held_out}) > 1:
            splits.append(ProbeSplit(kind, fitted, held_out, labels))
    return splits


def measure(encode: Callable[[Tensor], Tensor], samples: Sequence[SliceSample], image_size: int) -> dict[str, float]:
    """Mean recall over classes (balanced accuracy) of each probe on held-out patients, as "knn/region" and the like.

    encode : (n, 1, S, S) whole slices, z-scored, to (n, 1 + N, D) tokens
    """
    splits = split_by_patient(samples)
    if not splits:
        return {}
    features = torch.cat([encode(whole_slices(part, image_size))[:, 0].float().cpu() for part in _parts(samples)])
    found = {}
    for split in splits:
        names = sorted({split.labels[index] for index in split.fitted})
        fitted, held_out = features[list(split.fitted)], features[list(split.held_out)]
        given = torch.tensor([names.index(split.labels[index]) for index in split.fitted])
        true = torch.tensor([names.index(split.labels[index]) for index in split.held_out])
        for probe, answer in (("knn", nearest_neighbours), ("linear", linear_classifier)):
            found[f"{probe}/{split.kind}"] = balanced_accuracy(answer(fitted, given, held_out), true)
    return found


def whole_slices(samples: Sequence[SliceSample], image_size: int) -> Tensor:
    """(n, 1, S, S), each z-scored."""
    slices = [torch.from_numpy(sample.pixels) for sample in samples]
    return zscore(resample_each(slices, [CropBox(0, 0, *pixels.shape) for pixels in slices], image_size))


def nearest_neighbours(fitted: Tensor, labels: Tensor, held_out: Tensor) -> Tensor:
    """(m,) the class that weighs most among the nearest by cosine.

    fitted : (n, D)
    labels : (n,) int64
    held_out : (m, D)
    """
    cosines = functional.normalize(held_out, dim=1) @ functional.normalize(fitted, dim=1).T
    nearest, places = cosines.topk(min(NEIGHBOURS, len(fitted)), dim=1)
    votes = functional.one_hot(labels)[places] * (nearest / KNN_TEMPERATURE).exp()[..., None]
    chosen: Tensor = votes.sum(dim=1).argmax(dim=1)
    return chosen


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
    return float(torch.stack([(answers[true == label] == label).float().mean() for label in set(true.tolist())]).mean())


def _fits(patient: str) -> bool:
    return hashlib.sha256(patient.encode()).digest()[0] % 2 == 0


def _parts(samples: Sequence[SliceSample]) -> list[Sequence[SliceSample]]:
    return [samples[start : start + BATCH] for start in range(0, len(samples), BATCH)]
