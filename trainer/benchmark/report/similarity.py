"""Cosine similarity of one patch with every patch of other images, as pictures: do tokens mean the same anatomy?"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.imaging.resampling import resample
from trainer.benchmark.dense import features_at, true_classes
from trainer.benchmark.features import FeatureTable, slice_places, thinned
from trainer.benchmark.question import Question
from trainer.features.token_labels import token_fraction

COLUMNS = 4
"""The patch's own image, and three of other patients."""


def draw_similarity(asked: Sequence[tuple[Question, FeatureTable]]) -> Figure:
    """A row for each question with masks: a patch in the middle of what the mask covers, and its similarity to all
    patches of the same image, of other patients' and, in the last column, of the next row's first image.
    """
    shown = [[_image(question, table, row) for row in _rows(question)] for question, table in asked]
    figure = Figure(figsize=(2.5 * (COLUMNS + 1), 2.7 * len(asked) + 0.3), layout="constrained")
    axes = figure.subplots(len(asked), COLUMNS + 1, squeeze=False)
    for number, ((question, _), images) in enumerate(zip(asked, shown, strict=True)):
        first_plane, first_tokens, place = images[0]
        query = first_tokens.reshape(-1, first_tokens.shape[-1])[place]
        others = [*images, shown[(number + 1) % len(asked)][0]]
        captions = [question.task.name, *["another patient"] * (len(images) - 1), "the next row's"]
        for axis, caption, (plane, tokens, _) in zip(axes[number], captions, others, strict=False):
            axis.imshow(plane, cmap="gray", interpolation="bilinear")
            axis.imshow(_map(query, tokens, plane.shape), cmap="magma", alpha=0.55, vmin=0, vmax=1)
            axis.set_title(caption, fontsize="x-small", loc="left")
        side = first_tokens.shape[0]
        row, column = divmod(place, side)
        height, width = first_plane.shape
        axes[number, 0].plot(
            (column + 0.5) * width / side, (row + 0.5) * height / side, "+", color="cyan", markersize=12
        )
        for axis in axes[number]:
            axis.set_axis_off()
    return figure


Shown = tuple[NDArray[np.float32], NDArray[np.float32], int]
"""(H, W) pixels, (rows, columns, D) tokens, the place of the patch that the mask covers most."""


def _rows(question: Question) -> list[int]:
    """The first image of each of some patients, evenly spaced."""
    firsts = [int(np.flatnonzero(question.patients == name)[0]) for name in np.unique(question.patients)]
    places = np.unique(np.linspace(0, len(firsts) - 1, min(COLUMNS, len(firsts))).round().astype(int))
    return [question.rows[firsts[place]] for place in places]


def _image(question: Question, table: FeatureTable, row: int) -> Shown:
    """The slice on which the mask is largest."""
    mask = true_classes(question, row)
    volume = question.dataset.read_image(row, question.task.image)
    volume = thinned(volume, slice_places(volume.array.shape[0], question.task.slices))
    number = int(mask.array.astype(bool).sum(axis=(1, 2)).argmax())
    features = features_at(table, row, volume.geometry)
    covered = token_fraction(Volume(mask.array > 0, mask.geometry), features.geometry)[number]
    _, rows, columns = features.geometry.shape
    tokens = np.asarray(features.tokens[number]).reshape(rows, columns, -1)
    return np.asarray(volume.array[number], np.float32), tokens, int(covered.argmax())


def _map(query: NDArray[np.float32], tokens: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Cosines in ranks from 0 to 1, interpolated to the image: what is nearer than what counts, not by how much."""
    flat = tokens.reshape(-1, tokens.shape[-1])
    cosines = flat @ query / (np.linalg.norm(flat, axis=1) * np.linalg.norm(query) + 1e-9)
    ranks = np.argsort(np.argsort(cosines)) / max(len(cosines) - 1, 1)
    grid = Geometry(np.eye(4), (1, shape[0], shape[1])).rescaled((1, *tokens.shape[:2]))
    small = Volume(ranks.reshape(1, *tokens.shape[:2]).astype(np.float32), grid)
    return np.asarray(resample(small, Geometry(np.eye(4), (1, shape[0], shape[1])), order=1).array[0])
