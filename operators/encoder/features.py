"""Slices to features: the encoder run in batches, its tokens placed in the patient."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.dlpack import from_dlpack

from operators.domain.features import EncoderInput, FeatureVolume
from operators.encoder.snapshot import Snapshot
from operators.encoder.vision_transformer import build_vision_transformer
from operators.errors import ResourceError


class Encoder:
    """A snapshot on a device, ready for slices.

    sha256 : of the snapshot's weights
    """

    def __init__(self, snapshot: Snapshot, *, device: str = "cpu", batch_size: int = 4) -> None:
        self.sha256 = snapshot.sha256
        self.config = snapshot.config
        self.device = torch.device(device)
        self.batch_size = batch_size
        self.model: Any = build_vision_transformer(snapshot.config)
        self.model.load_state_dict(snapshot.state_dict, strict=True)
        self.model.to(self.device)

    def encode(self, encoder_input: EncoderInput) -> FeatureVolume:
        """CLS and patch tokens of every slice, after the final norm.

        When the device's memory runs out, it is tried once more with half the batch.

        Raises
        ------
        ResourceError
            The memory ran out with half the batch too.
        """
        size = (self.config.num_channels, self.config.image_size, self.config.image_size)
        if tuple(encoder_input.images.shape[1:]) != size:
            raise ValueError(f"images: expected (S, {size}), got {tuple(encoder_input.images.shape)}")
        try:
            features = self._run(encoder_input.images, self.batch_size)
        except torch.OutOfMemoryError:
            features = self._run_again(encoder_input.images, max(1, self.batch_size // 2))
        grid = (features.shape[0], self.config.grid_size, self.config.grid_size)
        return FeatureVolume(features[:, 0], features[:, 1:], encoder_input.geometry.rescaled(grid))

    def _run_again(self, images: Any, batch_size: int) -> NDArray[np.float32]:
        try:
            return self._run(images, batch_size)
        except torch.OutOfMemoryError as error:
            raise ResourceError(
                f"encoder: the memory of {self.device} ran out at {batch_size} slices of "
                f"{self.config.image_size} pixels at a time; free some of it or run on another device"
            ) from error

    @torch.inference_mode()
    def _run(self, images: Any, batch_size: int) -> NDArray[np.float32]:
        """(S, C, P, P) to (S, 1 + N, D)."""
        num_tokens = 1 + self.config.grid_size**2
        features = np.empty((len(images), num_tokens, self.config.hidden_size), np.float32)
        for start in range(0, len(images), batch_size):
            # Through DLPack NumPy and CuPy arrays arrive alike, without a copy where they already lie right.
            batch = from_dlpack(images[start : start + batch_size]).to(self.device)
            features[start : start + batch_size] = self.model.forward_features(batch).cpu().numpy()
        return features
