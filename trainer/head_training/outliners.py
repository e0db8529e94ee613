"""What draws: maps of a study's tokens, or of tokens and image, to evidence of each class, fitted to label maps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from operators.domain.features import FeatureVolume
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.heads.evidence import CellEvidence, cell_evidence
from operators.heads.linear import Linear
from operators.heads.pixel_decoder import PixelDecoder, pixel_decoder_of
from trainer.evaluation.overlap import best_threshold
from trainer.features.token_labels import cell_labels
from trainer.head_training.examples import Example
from trainer.head_training.trainable import Rows, Tensors
from trainer.heads import objectives
from trainer.heads.affine import Examples, fit_affine
from trainer.heads.linear import fit_cells
from trainer.heads.optimising import Optimiser
from trainer.heads.outlined_slices import OutlinedSlices
from trainer.heads.pixel_decoder import DecoderFit, fit_decoder

TOKENS_FROM_EACH_STUDY = 4096
SLICES_FROM_EACH_STUDY = 64
BALANCE = 0.5
"""Between every token weighing the same and every class."""
THRESHOLDS = tuple(np.arange(-8.0, 8.01, 0.125).tolist())
"""Log odds of a token among which that of the outline is chosen."""

Labels = NDArray[np.uint8]


class Outliner(Protocol):
    """A way to draw."""

    def fit(self, rows: Rows, *, penalty: float, epochs: int, seed: int) -> Tensors:
        """The tensors of a head that draws what the label maps of *rows* show."""

    def evidence(self, tensors: Tensors, row: int) -> tuple[Volume, ...]:
        """One volume for each class, of which the largest above 0 is drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledStudies:
    """Examples with what is to be drawn in them.

    label_map : of a row, 0 for background and k for label k, read when it is asked for; None of a study that shows
        nothing
    """

    examples: Sequence[Example]
    label_map: Callable[[int], Volume | None]

    def features(self, row: int) -> FeatureVolume:
        return self.examples[row].features

    def cells(self, row: int, tokens: Geometry, subdivision: int) -> Labels:
        """(S, N, subdivision ** 2): see `trainer.features.token_labels`."""
        label_map = self.label_map(row)
        if label_map is None:
            slices, rows, columns = tokens.shape
            return np.zeros((slices, rows * columns, subdivision**2), np.uint8)
        return cell_labels(label_map, tokens, subdivision)

    def sample(self, rows: Rows, subdivision: int, seed: int) -> tuple[NDArray[np.float32], Labels]:
        """Tokens (n, F) of *rows*, as many of each, with their cells (n, subdivision ** 2)."""
        rng = np.random.default_rng(seed)
        tokens, labels = zip(*(self._sample(row, subdivision, rng) for row in rows), strict=True)
        return np.concatenate(tokens), np.concatenate(labels)

    def _sample(self, row: int, subdivision: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], Labels]:
        features = self.features(row)
        cells = self.cells(row, features.geometry, subdivision).reshape(-1, subdivision**2)
        chosen = rng.choice(len(cells), min(len(cells), TOKENS_FROM_EACH_STUDY), replace=False)
        return features.tokens[:].reshape(len(cells), -1)[chosen], cells[chosen]


@dataclass(frozen=True, slots=True, eq=False)
class CellOutliner:
    """A linear map of each token to the cells within it; least squares in closed form.

    subdivision : cells along each side of a token
    """

    studies: LabelledStudies
    num_classes: int
    subdivision: int

    def fit(self, rows: Rows, *, penalty: float, epochs: int, seed: int) -> Tensors:
        """The penalty grows with the tokens."""
        known, cells = self.studies.sample(rows, self.subdivision, seed)
        penalty *= len(known)
        return fit_cells(known, cells, num_classes=self.num_classes, penalty=penalty, balance=BALANCE).tensors

    def evidence(self, tensors: Tensors, row: int) -> tuple[Volume, ...]:
        return cell_evidence(self.studies.features(row), _linear(tensors), self.subdivision)


@dataclass(frozen=True, slots=True, eq=False)
class TokenOutliner:
    """Logistic regression to whether something covers a token, shifted so that the outline lies at 0."""

    studies: LabelledStudies
    optimiser: Optimiser

    def fit(self, rows: Rows, *, penalty: float, epochs: int, seed: int) -> Tensors:
        """Fit, and choose the threshold with which the outlines of those that were fitted on agree best: few tokens are
        sure of what is rare.
        """
        known, cells = self.studies.sample(rows, 4, seed)
        covered = (cells > 0).mean(axis=1) >= 0.5
        examples = Examples(known, covered[:, None].astype(np.float64), np.ones((len(known), 1)))
        linear = fit_affine(
            examples,
            objectives.each_label,
            self.optimiser.model_copy(update={"epochs": epochs}),
            num_outputs=1,
            penalty=penalty,
            seed=seed,
        ).linear
        threshold = best_threshold(np.asarray(linear(known)[:, 0], np.float32), covered, THRESHOLDS)
        return Linear(linear.weight, linear.bias - np.float32(threshold)).tensors

    def evidence(self, tensors: Tensors, row: int) -> tuple[Volume, ...]:
        return cell_evidence(self.studies.features(row), _linear(tensors), 1)


@dataclass(frozen=True, slots=True, eq=False)
class DecoderOutliner:
    """A decoder of tokens and image, see `trainer.heads.pixel_decoder`."""

    studies: LabelledStudies
    num_classes: int
    settings: DecoderFit

    def fit(self, rows: Rows, *, penalty: float, epochs: int, seed: int) -> Tensors:
        """The penalty is AdamW's decay; a decoder takes its steps, whatever the epochs."""
        slices = StudySlices.of(self.studies, rows, levels=self.settings.levels)
        settings = replace(self.settings, weight_decay=penalty, seed=seed)
        return fit_decoder(slices, settings, num_classes=self.num_classes).tensors

    @torch.no_grad()
    def evidence(self, tensors: Tensors, row: int) -> tuple[Volume, ...]:
        decoder = self._decoder(tensors).on("cpu")
        features, images = self.studies.features(row), self.studies.examples[row].images
        cells = CellEvidence(features.geometry, num_classes=self.num_classes, subdivision=2**self.settings.levels)
        for place, tokens in features.token_blocks():
            seen = torch.from_numpy(images[place].astype(np.float32))[:, None]
            cells.put_image(place, decoder(torch.from_numpy(tokens), seen).numpy())
        return cells.volumes()

    def _decoder(self, tensors: Tensors) -> PixelDecoder:
        plain = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        return pixel_decoder_of(plain, self.settings.kind, self.settings.levels)


@dataclass(frozen=True, slots=True, eq=False)
class StudySlices:
    """Some slices of each study, their tokens and images on the disk until a batch takes them.

    places : (n, 2) row and slice
    classes : (n, G, G) on the decoder's finest grid
    """

    studies: LabelledStudies
    places: NDArray[np.int64]
    classes: Labels

    @classmethod
    def of(cls, studies: LabelledStudies, rows: Rows, *, levels: int) -> "StudySlices":
        """At most `SLICES_FROM_EACH_STUDY` of a study, as many with something to draw as without where possible."""
        found, drawn = [], []
        for row in rows:
            grid, subdivision = studies.features(row).geometry, 2**levels
            slices, height, width = grid.shape
            cells = studies.cells(row, grid, subdivision).reshape(slices, height, width, subdivision, subdivision)
            chosen = _some_of_each(np.asarray(cells.reshape(slices, -1).any(axis=1)))
            found.append(np.stack([np.full(len(chosen), row), chosen], axis=1))
            image = cells[chosen].transpose(0, 1, 3, 2, 4)
            drawn.append(image.reshape(len(chosen), height * subdivision, width * subdivision))
        return cls(studies, np.concatenate(found), np.concatenate(drawn))

    def __len__(self) -> int:
        return len(self.places)

    @property
    def shown(self) -> NDArray[np.bool_]:
        return np.asarray(self.classes.reshape(len(self), -1).any(axis=1))

    @property
    def people(self) -> NDArray[np.str_]:
        """Each study counts the same, whoever's it is."""
        return self.places[:, 0].astype(np.str_)

    def only(self, chosen: NDArray[np.int64]) -> OutlinedSlices:
        tokens, images = [], []
        for row, place in self.places[chosen]:
            example = self.studies.examples[row]
            tokens.append(example.features.tokens[place : place + 1])
            images.append(example.images[place : place + 1])
        return OutlinedSlices(np.concatenate(tokens), np.concatenate(images), self.classes[chosen], self.people[chosen])


def _some_of_each(shown: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Slices, evenly from those that show something and from the others, in order."""
    groups = [np.flatnonzero(shown), np.flatnonzero(~shown)]
    half = SLICES_FROM_EACH_STUDY // 2
    room = [max(half, SLICES_FROM_EACH_STUDY - len(other)) for other in reversed(groups)]
    chosen = [
        group[np.linspace(0, len(group) - 1, min(len(group), most)).astype(np.int64)]
        for group, most in zip(groups, room, strict=True)
        if len(group)
    ]
    return np.sort(np.concatenate(chosen))


def _linear(tensors: Tensors) -> Linear:
    return Linear(tensors["weight"], tensors["bias"])
