"""Slices to features: the encoder run in batches, its tokens placed in the patient.

Slices come in and features go out a batch at a time, so that the length of a series costs no memory but for the tokens,
and tokens beyond `FEATURES_IN_MEMORY` go to a file.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from operators.domain.features import EncoderInput, FeatureVolume
from operators.domain.geometry import Geometry
from operators.encoder.devices import DTYPES, Precision, default_batch_size, default_precision
from operators.encoder.replica import Launched, Replica
from operators.encoder.snapshot import Snapshot
from operators.encoder.tensor_file import Blocks, FileTensor, TensorPart, read_tensors, write_tensors
from operators.errors import ResourceError

FEATURES_IN_MEMORY = 1 << 30
"""Bytes; 340 slices at Curia-2 B's width."""

Features = NDArray[np.float32]


class Encoder:
    """A snapshot on one or several devices, ready for slices.

    sha256 : of the snapshot's weights
    devices : the slices of a series are spread over them
    precision : None takes float32 on a CPU, bfloat16 on a GPU
    batch_size : slices at a time on each device; 0 chooses from the device's free memory
    """

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        devices: Sequence[str] = ("cpu",),
        precision: Precision | None = None,
        batch_size: int = 0,
    ) -> None:
        first = torch.device(devices[0])
        self.sha256 = snapshot.sha256
        self.config = snapshot.config
        self.devices = tuple(devices)
        self.precision: Precision = precision or default_precision(first)
        dtype = DTYPES[self.precision]
        self.replicas = tuple(Replica(snapshot, torch.device(device), dtype) for device in devices)
        self.batch_size = batch_size or default_batch_size(snapshot.config, first, dtype)

    def encode(self, encoder_input: EncoderInput, *, scratch: Path | None = None, blocks: int = 0) -> FeatureVolume:
        """CLS and patch tokens of every slice.

        When a device's memory runs out, the rest is encoded with half the batch.

        scratch : folder for tokens that are too many for the memory; None keeps all of them in memory
        blocks : keep the outputs of so many last blocks too, as they are before the final norm

        Raises
        ------
        ResourceError
            The memory ran out with half the batch too.
        """
        shape = self._shape(encoder_input, blocks)
        if scratch is not None and 4 * np.prod(shape) > FEATURES_IN_MEMORY:
            # Only the open file keeps it: the name goes with the folder.
            folder = Path(tempfile.mkdtemp(prefix="features-", dir=scratch))
            return self.encode_to_file(encoder_input, folder / "features.safetensors", blocks=blocks)
        # Apart in memory, so that whoever takes all tokens as one matrix need not copy them.
        slices, rows, _ = shape
        width = self.config.hidden_size
        cls, tokens = np.empty((slices, width), np.float32), np.empty((slices, rows - 1, width), np.float32)
        states = np.empty((slices, rows, blocks * width), np.float32) if blocks else None
        for place, features in self._features(encoder_input, blocks=blocks):
            cls[place], tokens[place] = features[:, 0, :width], features[:, 1:, :width]
            if states is not None:
                states[place] = features[..., width:]
        return FeatureVolume(cls, tokens, self._token_grid(encoder_input), states)

    def encode_to_file(self, encoder_input: EncoderInput, path: Path, *, blocks: int = 0) -> FeatureVolume:
        """Encode as `encode` does, into a new file where all features but CLS stay."""
        shape = self._shape(encoder_input, blocks)
        cls = np.empty((shape[0], self.config.hidden_size), np.float32)

        def feature_blocks() -> Iterator[Features]:
            for place, features in self._features(encoder_input, blocks=blocks):
                cls[place] = features[:, 0, : self.config.hidden_size]
                yield features

        write_tensors({"features": Blocks(shape, feature_blocks()), "cls": Blocks(cls.shape, (cls,))}, path)
        return self._from_file(encoder_input, read_tensors(path)["features"], cls)

    def read_file(self, encoder_input: EncoderInput, path: Path, *, blocks: int = 0) -> FeatureVolume:
        """What `encode_to_file` wrote for the same input.

        Raises
        ------
        ValueError
            It is no such file.
        """
        tensors = read_tensors(path)
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        shape = self._shape(encoder_input, blocks)
        expected = {"features": shape, "cls": (shape[0], self.config.hidden_size)}
        if shapes != expected:
            raise ValueError(f"{path.name}: expected tensors of shapes {expected}, got {shapes}")
        return self._from_file(encoder_input, tensors["features"], tensors["cls"][:])

    def _shape(self, encoder_input: EncoderInput, blocks: int) -> tuple[int, int, int]:
        """(S, 1 + N, (1 + blocks) D), of all features."""
        size = encoder_input.geometry.shape[1:]
        if size != (self.config.image_size, self.config.image_size):
            raise ValueError(f"images: expected {self.config.image_size} pixels along both sides, got {size}")
        if not 0 <= blocks <= self.config.num_hidden_layers:
            raise ValueError(f"blocks: expected at most the encoder's {self.config.num_hidden_layers}, got {blocks}")
        return len(encoder_input), 1 + self.config.grid_size**2, (1 + blocks) * self.config.hidden_size

    def _from_file(self, encoder_input: EncoderInput, features: FileTensor, cls: Features) -> FeatureVolume:
        """features : (S, 1 + N, (1 + blocks) D)"""
        width = self.config.hidden_size
        tokens = TensorPart(features, slice(1, None), slice(0, width))
        states = TensorPart(features, slice(None), slice(width, None)) if features.shape[2] > width else None
        return FeatureVolume(cls, tokens, self._token_grid(encoder_input), states)

    def _token_grid(self, encoder_input: EncoderInput) -> Geometry:
        return encoder_input.geometry.rescaled((len(encoder_input), self.config.grid_size, self.config.grid_size))

    def _features(self, encoder_input: EncoderInput, *, blocks: int) -> Iterator[tuple[slice, Features]]:
        """(n, 1 + N, (1 + blocks) D) one after the other, each with its place along the slice axis."""
        done, half = 0, max(1, self.batch_size // 2)
        for batch_size in (self.batch_size, half):
            try:
                for features in self._batches(encoder_input, done, batch_size, blocks=blocks):
                    yield slice(done, done + len(features)), features
                    done += len(features)
            except (MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
            else:
                return
            for replica in self.replicas:
                replica.release()
        raise ResourceError(
            f"encoder: the memory of {','.join(self.devices)} ran out at {half} slices of {self.config.image_size} "
            "pixels at a time; free some of it or run on another device"
        )

    def _batches(self, encoder_input: EncoderInput, start: int, batch_size: int, *, blocks: int) -> Iterator[Features]:
        """The features from slice *start* on; the devices are given the next batches before the last are awaited."""
        under_way: list[Launched] = []
        for block in encoder_input.blocks(start, batch_size * len(self.replicas)):
            # Through DLPack NumPy and CuPy arrays arrive alike, without a copy where they already lie right.
            parts = torch.utils.dlpack.from_dlpack(block).split(batch_size)  # type: ignore[no-untyped-call]
            launched = [
                replica.launch(part, full_batch=batch_size, blocks=blocks)
                for replica, part in zip(self.replicas, parts, strict=False)
            ]
            yield from (earlier.result() for earlier in under_way)
            under_way = launched
        yield from (last.result() for last in under_way)


def _is_out_of_memory(error: Exception) -> bool:
    """PyTorch has a class for GPUs only; CuPy's is a MemoryError."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
