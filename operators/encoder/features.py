"""Slices to features: the encoder run in batches, its tokens placed in the patient.

Slices come in and features go out a batch at a time, so that the length of a series costs no memory but for the tokens,
and tokens beyond `TOKENS_IN_MEMORY` go to a file.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from operators.domain.features import EncoderInput, FeatureVolume
from operators.encoder.devices import DTYPES, Precision, default_batch_size, default_precision
from operators.encoder.replica import Launched, Replica
from operators.encoder.snapshot import Snapshot
from operators.encoder.tensor_file import Blocks, read_tensors, write_tensors
from operators.errors import ResourceError

TOKENS_IN_MEMORY = 1 << 30
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

    def encode(
        self, encoder_input: EncoderInput, *, scratch: Path | None = None, final_norm: bool = True
    ) -> FeatureVolume:
        """CLS and patch tokens of every slice.

        When a device's memory runs out, the rest is encoded with half the batch.

        scratch : folder for tokens that are too many for the memory; None keeps all of them in memory
        final_norm : whether the patch tokens are taken after the final norm; CLS always is

        Raises
        ------
        ResourceError
            The memory ran out with half the batch too.
        """
        cls_shape, tokens_shape = self._shapes(encoder_input)
        if scratch is not None and 4 * np.prod(tokens_shape) > TOKENS_IN_MEMORY:
            # Only the open file keeps it: the name goes with the folder.
            folder = Path(tempfile.mkdtemp(prefix="tokens-", dir=scratch))
            return self.encode_to_file(encoder_input, folder / "features.safetensors", final_norm=final_norm)
        cls, tokens = np.empty(cls_shape, np.float32), np.empty(tokens_shape, np.float32)
        for place, features in self._features(encoder_input, final_norm=final_norm):
            cls[place], tokens[place] = features[:, 0], features[:, 1:]
        return self._volume(encoder_input, cls, tokens)

    def encode_to_file(self, encoder_input: EncoderInput, path: Path, *, final_norm: bool = True) -> FeatureVolume:
        """The same with the features in a new file, ``tokens`` and ``cls``; the tokens stay there."""
        cls_shape, tokens_shape = self._shapes(encoder_input)
        cls = np.empty(cls_shape, np.float32)

        def token_blocks() -> Iterator[Features]:
            for place, features in self._features(encoder_input, final_norm=final_norm):
                cls[place] = features[:, 0]
                yield features[:, 1:]

        write_tensors({"tokens": Blocks(tokens_shape, token_blocks()), "cls": Blocks(cls_shape, (cls,))}, path)
        return self._volume(encoder_input, cls, read_tensors(path)["tokens"])

    def read_file(self, encoder_input: EncoderInput, path: Path) -> FeatureVolume:
        """What `encode_to_file` wrote for the same input.

        Raises
        ------
        ValueError
            It is no such file.
        """
        tensors = read_tensors(path)
        shapes = tuple(tensors[name].shape for name in ("cls", "tokens") if name in tensors)
        if shapes != self._shapes(encoder_input):
            raise ValueError(f"{path.name}: expected features of shapes {self._shapes(encoder_input)}, got {shapes}")
        return self._volume(encoder_input, tensors["cls"][:], tensors["tokens"])

    def _shapes(self, encoder_input: EncoderInput) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of CLS and tokens."""
        size = encoder_input.geometry.shape[1:]
        if size != (self.config.image_size, self.config.image_size):
            raise ValueError(f"images: expected {self.config.image_size} pixels along both sides, got {size}")
        width = self.config.hidden_size
        return (len(encoder_input), width), (len(encoder_input), self.config.grid_size**2, width)

    def _volume(self, encoder_input: EncoderInput, cls: Features, tokens: object) -> FeatureVolume:
        grid = (len(encoder_input), self.config.grid_size, self.config.grid_size)
        return FeatureVolume(cls, tokens, encoder_input.geometry.rescaled(grid))

    def _features(self, encoder_input: EncoderInput, *, final_norm: bool) -> Iterator[tuple[slice, Features]]:
        """(n, 1 + N, D) one after the other, each with its place along the slice axis."""
        done, half = 0, max(1, self.batch_size // 2)
        for batch_size in (self.batch_size, half):
            try:
                for features in self._batches(encoder_input, done, batch_size, final_norm=final_norm):
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

    def _batches(
        self, encoder_input: EncoderInput, start: int, batch_size: int, *, final_norm: bool
    ) -> Iterator[Features]:
        """The features from slice *start* on; the devices are given the next batches before the last are awaited."""
        under_way: list[Launched] = []
        for block in encoder_input.blocks(start, batch_size * len(self.replicas)):
            # Through DLPack NumPy and CuPy arrays arrive alike, without a copy where they already lie right.
            parts = torch.utils.dlpack.from_dlpack(block).split(batch_size)  # type: ignore[no-untyped-call]
            launched = [
                replica.launch(part, full_batch=batch_size, final_norm=final_norm)
                for replica, part in zip(self.replicas, parts, strict=False)
            ]
            yield from (earlier.result() for earlier in under_way)
            under_way = launched
        yield from (last.result() for last in under_way)


def _is_out_of_memory(error: Exception) -> bool:
    """PyTorch has a class for GPUs only; CuPy's is a MemoryError."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
