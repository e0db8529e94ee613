"""What the teacher's features tell while it trains: k-NN and a linear probe on labelled slices, split by patient."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.evaluation.probes import balanced_accuracy, linear_classifier, nearest_neighbours
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.views.crop_boxes import CropBox
from trainer.pretraining.views.crops import zscore
from trainer.pretraining.views.resampling import resample_each

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


def probe_figures(
    encode: Callable[[Tensor], Tensor], samples: Sequence[SliceSample], image_size: int
) -> dict[str, float]:
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


def _fits(patient: str) -> bool:
    return hashlib.sha256(patient.encode()).digest()[0] % 2 == 0


def _parts(samples: Sequence[SliceSample]) -> list[Sequence[SliceSample]]:
    return [samples[start : start + BATCH] for start in range(0, len(samples), BATCH)]
