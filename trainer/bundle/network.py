"""An encoder and a head as one torch module, for MONAI bundles and whoever else has volumes as MONAI loads them.

It prepares slices, encodes them and asks the head through the application's own code, so its answers are the
application's.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.domain.volume import Volume
from operators.encoder.features import Encoder
from operators.heads.head import Heads, SeriesFeatures
from operators.heads.readout import FindingsReadout, predict_findings
from operators.imaging.encoder_input import make_encoder_input
from operators.model.model_folder import read_model
from trainer.features.ras_volume import volume_of_ras

DRAWING = ("segmentation", "finding")
"""Tasks whose answer is a label map; that of others are numbers."""


class HeadNetwork(torch.nn.Module):
    """A head of a model folder behind ``forward``.

    folder : with the encoder, the head, and the heads that it needs beside it
    head : its name
    device : that encoder and head run on, a torch name
    modality : of the series; empty for the first that the head knows

    Raises
    ------
    ModelError
        The folder cannot be used.
    ValueError
        It holds no such head.
    """

    def __init__(self, folder: str, head: str, device: str = "cpu", modality: str = "") -> None:
        super().__init__()
        model = read_model(Path(folder))
        found = [one for one in model.heads.all if one.record.name == head]
        if not found:
            names = ", ".join(one.record.name for one in model.heads.all) or "none"
            raise ValueError(f"head: expected one of {names}, got {head!r}")
        self._head, self._heads, self._device = found[0], model.heads, device
        self._modality = modality or found[0].record.modality[0]
        self._settings = model.snapshot.input_settings
        self._encoder = Encoder(model.snapshot, devices=(device,))
        # Known to torch, so that its parameters are counted and shown.
        self.transformer = self._encoder.replicas[0].model

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, X, Y, Z) series as MONAI loads them, HU for CT, to (B, outputs) or (B, 1, X, Y, Z).

        Numbers are the probabilities of findings and then the values of measurements, nan for what was not
        evaluated; of heads that draw, the answer is a label map from 1 on. Where *images* are no MetaTensor with an
        affine, their voxels are taken for cubes of 1 mm.
        """
        return torch.stack(
            [self._answer(image, affine) for image, affine in zip(images, _affines(images), strict=True)]
        ).to(images.device)

    def readout(self, volume: Volume) -> FindingsReadout:
        """Everything that the heads say about a series."""
        encoder_input = make_encoder_input(volume, self._settings)
        features = self._encoder.encode(encoder_input, blocks=self._heads.needs.blocks)
        series = SeriesFeatures(
            features, volume.geometry, self._modality, "series", self._device, encoder_input=encoder_input
        )
        return predict_findings(series, self._heads)

    def _answer(self, image: Tensor, affine: NDArray[np.float64]) -> Tensor:
        """(1, X, Y, Z) to (outputs,) or (1, X, Y, Z)."""
        volume = volume_of_ras(np.asarray(image[0].detach().cpu().float().numpy()), affine)
        readout, name = self.readout(volume), self._head.record.name
        if self._head.record.task in DRAWING:
            return torch.from_numpy(self._label_map(readout, volume).transpose(2, 1, 0)[None].copy())
        told = [finding.probability for finding in readout.findings if finding.head == name]
        told += [measurement.value for measurement in readout.measurements if measurement.head == name]
        return torch.tensor([np.nan if value is None else value for value in told])

    def _label_map(self, readout: FindingsReadout, volume: Volume) -> NDArray[np.uint8]:
        labels = np.zeros(volume.geometry.shape, np.uint8)
        masks = [mask for mask in readout.masks if mask.head == self._head.record.name]
        for mask in masks:
            for number, region in enumerate(mask.regions(volume.geometry, with_probabilities=False), start=1):
                labels[region.mask] = number if mask.finding is None else 1
        return labels


def _affines(images: Any) -> NDArray[np.float64]:
    """(B, 4, 4), of MONAI's MetaTensor."""
    affine = np.asarray(getattr(images, "affine", np.eye(4)), np.float64)
    return np.broadcast_to(affine, (len(images), 4, 4))


def needed_heads(heads: Heads, name: str) -> list[str]:
    """The head and those without which it is not asked: the body region's, and anatomy where it reads a segment.

    Raises
    ------
    ValueError
        There is no such head.
    """
    wanted = [one for one in heads.all if one.record.name == name]
    if not wanted:
        names = ", ".join(one.record.name for one in heads.all) or "none"
        raise ValueError(f"--head: expected one of {names}, got {name!r}")
    tasks = {"body-region"} if wanted[0].record.body_region else set()
    if wanted[0].needs.segment:
        tasks |= {"body-region", "segmentation"}
    return [one.record.name for one in heads.all if one.record.name == name or one.record.task in tasks]
