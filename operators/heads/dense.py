"""Anatomy by a small convolutional decoder of the patch tokens, with the image beside them.

Tokens are narrowed to H channels; then each level doubles the grid, puts the image, averaged to that grid, beside the
channels and takes a 3 x 3 convolution of both; a last linear map gives each class's evidence against background, which
has 0. Where tokens say what is there, the image says where exactly it ends.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, conv2d, interpolate, relu

from operators.domain.finding import Algorithm, Finding
from operators.errors import CheckpointError
from operators.heads.evidence import CellEvidence
from operators.heads.head import FeatureBlock, HeadAnswer, HeadFolder, HeadRecord, Needs, SeriesFeatures
from operators.heads.labels import Label, read_labels, segment_labels
from operators.heads.linear import Linear, first_length, read_weights
from operators.heads.masks import ClassMasks


class DecoderRecord(HeadRecord):
    """head.toml of a decoder.

    levels : times that the grid of tokens is doubled
    minimum_volume_ml : smaller connected components are dropped
    """

    task: Literal["segmentation"]
    kind: Literal["decoder"]
    levels: int = Field(ge=1, le=3)
    minimum_volume_ml: float = Field(0.0, ge=0)


@dataclass(frozen=True, slots=True, eq=False)
class Decoder:
    """The decoder's weights.

    narrow : (D) to (H)
    levels : weight (H, H + 1, 3, 3), the image's channel last
    classes : (H) to (C)
    """

    narrow: Linear
    levels: tuple[Linear, ...]
    classes: Linear

    def on(self, device: str) -> "Decoder":
        """The same on *device*."""
        return Decoder(
            self.narrow.on(device), tuple(level.on(device) for level in self.levels), self.classes.on(device)
        )

    def __call__(self, tokens: Tensor, images: Tensor) -> Tensor:
        """(n, N, D) tokens of a square grid and (n, 1, P, P) images to (n, C, rows 2^L, columns 2^L)."""
        rows = round(tokens.shape[1] ** 0.5)
        hidden = relu(self.narrow(tokens)).transpose(1, 2).reshape(len(tokens), -1, rows, rows)
        for level in self.levels:
            hidden = interpolate(hidden, scale_factor=2, mode="bilinear", align_corners=False)
            beside = adaptive_avg_pool2d(images, hidden.shape[-1])
            hidden = relu(conv2d(torch.cat([hidden, beside], dim=1), level.weight, level.bias, padding=1))
        return self.classes(hidden.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, eq=False)
class DecoderHead:
    record: DecoderRecord
    labels: tuple[Label, ...]
    decoder: Decoder
    algorithm: Algorithm
    needs: Needs = Needs(tokens=True, image=True)

    def begin(self, series: SeriesFeatures) -> "_Reading":
        cells = CellEvidence(series.features.geometry, num_classes=len(self.labels), subdivision=2**self.record.levels)
        return _Reading(self, self.decoder.on(series.device), cells)

    def unanswered(self, series: SeriesFeatures, reason: str) -> tuple[Finding, ...]:
        """None: anatomy is no finding."""
        return ()


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    head: DecoderHead
    decoder: Decoder
    cells: CellEvidence

    def take(self, block: FeatureBlock) -> None:
        assert block.tokens is not None, "the head needs them"
        assert block.images is not None, "the head needs them"
        self.cells.put_image(block.place, self.decoder(block.tokens, block.images).cpu().numpy())

    def answer(self) -> HeadAnswer:
        record = self.head.record
        masks = ClassMasks(record.name, self.head.labels, self.cells.volumes(), record.minimum_volume_ml)
        return HeadAnswer(masks=(masks,))


def read_head(folder: HeadFolder) -> DecoderHead:
    record = folder.record(DecoderRecord)
    labels = segment_labels(read_labels(folder.path), folder.path)
    hidden = first_length(folder.path, "narrow.bias")
    if 2**record.levels > folder.snapshot.config.patch_size:
        raise CheckpointError(
            f"{folder.path.name}/head.toml: levels: {record.levels} doublings make more than the "
            f"{folder.snapshot.config.patch_size} pixels along a patch"
        )
    shapes: dict[str, tuple[int, ...]] = {
        "narrow.weight": (hidden, folder.width),
        "narrow.bias": (hidden,),
        "classes.weight": (len(labels), hidden),
        "classes.bias": (len(labels),),
    }
    names = [f"level{number}" for number in range(1, record.levels + 1)]
    shapes |= {f"{name}.weight": (hidden, hidden + 1, 3, 3) for name in names}
    shapes |= {f"{name}.bias": (hidden,) for name in names}
    tensors = read_weights(folder.path, shapes)

    def linear(name: str) -> Linear:
        return Linear(tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    decoder = Decoder(linear("narrow"), tuple(linear(name) for name in names), linear("classes"))
    return DecoderHead(record, labels, decoder, folder.algorithm(record))
