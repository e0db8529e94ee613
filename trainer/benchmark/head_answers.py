"""A model folder's own heads, asked what a question asks: nothing is fitted."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.domain.features import FeatureVolume
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.heads.body_region import BodyRegionHead
from operators.heads.head import Head, HeadAnswer, SeriesFeatures, ask
from trainer.benchmark.dense import features_at, image_overlaps, true_classes
from trainer.benchmark.features import FeatureTable, slice_places, thinned
from trainer.benchmark.question import Question
from trainer.evaluation.predictions import Predictions
from trainer.features.slice_models import MEANINGS, SliceModel

PROTOCOL = "head"


def head_for(heads: Sequence[Head], question: Question) -> Head | None:
    """The head whose labels are what the question asks about; None where there is none.

    A segmentation names its structures; a classification whose classes are body regions asks the body-region head.
    """
    task = question.task
    fitting = [head for head in heads if task.modality in ("", *head.record.modality)]
    if task.kind == "segmentation":
        return next((head for head in fitting if set(task.structures) & set(_label_names(head))), None)
    if task.kind == "classification":
        regions = (head for head in fitting if isinstance(head, BodyRegionHead))
        return next((head for head in regions if set(question.classes) <= set(_label_names(head))), None)
    return None


def answer_by_head(question: Question, table: FeatureTable, model: SliceModel, head: Head) -> Predictions:
    """The head's answer to every example that some fold asks about."""
    places = np.concatenate([fold.asked for fold in question.folds]).tolist()
    if question.task.kind == "segmentation":
        return _outlines(question, table, model, head, places)
    return _regions(question, table, head, places)


def _outlines(
    question: Question, table: FeatureTable, model: SliceModel, head: Head, places: Sequence[int]
) -> Predictions:
    """Dice and HD95 of each image. Classes that are parts of one structure are put together."""
    task = question.task
    names = tuple(dict.fromkeys(task.structures))
    kept, found = [], []
    for place in places:
        row = question.rows[place]
        parts = true_classes(question, row)
        numbers = np.array([0, *(1 + names.index(structure) for structure in task.structures)], np.uint8)
        true = Volume(numbers[parts.array], parts.geometry)
        image = question.dataset.read_image(row, task.image)
        volume = thinned(image, slice_places(len(image.array), task.slices))
        features = features_at(table, row, volume.geometry)
        # Only the mean of CLS over a volume's slices is kept, and nothing of a head that draws asks for more.
        cls, _ = np.split(table.vectors((row,))[0], 2)
        series = SeriesFeatures(
            replace(features, cls=np.repeat(cls[None], len(volume.array), axis=0)),
            volume.geometry,
            task.modality or head.record.modality[0],
            series_instance_uid="",
            values=MEANINGS[task.values],
            encoder_input=model.encoder_input(volume, task.values) if head.needs.image else None,
        )
        overlaps = image_overlaps(_drawn(ask((head,), series)[0], names, volume.geometry), true, len(names))
        if overlaps is not None:
            kept.append(place)
            found.append(overlaps)
    return Predictions(question.patients[kept], np.zeros(len(kept)), np.array(found).reshape(1, -1, 2))


def _drawn(answer: HeadAnswer, names: Sequence[str], grid: Geometry) -> NDArray[np.uint8]:
    """(D, H, W) 1 for the first of *names*, and so on; what the head does not call present is not drawn."""
    drawn = np.zeros(grid.shape, np.uint8)
    for masks in answer.masks:
        for region in masks.regions(grid, with_probabilities=False):
            if region.label.name in names:
                drawn[region.mask] = 1 + names.index(region.label.name)
    return drawn


def _regions(question: Question, table: FeatureTable, head: Head, places: Sequence[int]) -> Predictions:
    """Probabilities of the classes, from CLS and the mean token, of a volume the mean over its slices.

    Where the head is not sure enough to name a region there is no answer, and the example is left out.
    """
    grid = Geometry(np.eye(4), (1, 1, 1))
    kept, found = [], []
    for place in places:
        cls, mean = np.split(table.vectors((question.rows[place],))[0], 2)
        features = FeatureVolume(cls[None], mean[None, None], grid)
        modality, values = question.task.modality or head.record.modality[0], MEANINGS[question.task.values]
        series = SeriesFeatures(features, grid, modality, "", values=values)
        if regions := ask((head,), series)[0].regions:
            kept.append(place)
            found.append([regions[name] for name in question.classes])
    return Predictions(question.patients[kept], question.true[kept], np.array(found)[None])


def _label_names(head: Head) -> tuple[str, ...]:
    """Of a head's outputs; a head that looks at its scope first has the labels of the one within."""
    inner: Any = getattr(head, "head", head)
    labels = getattr(inner, "labels", None) or (inner.label,)
    return tuple(label.name for label in labels)
