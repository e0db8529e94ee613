"""The vision transformer on one device."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from operators.encoder.snapshot import Snapshot
from operators.encoder.vision_transformer import build_vision_transformer, encode_images


@dataclass(frozen=True, slots=True, eq=False)
class Launched:
    """(n, 1 + N, (1 + blocks) D) on their way from the device; *copied* is None where they are there already."""

    features: torch.Tensor
    copied: Any = None

    def result(self) -> NDArray[np.float32]:
        """(n, 1 + N, (1 + blocks) D), once it is there."""
        if self.copied is not None:
            self.copied.synchronize()
        return np.asarray(self.features.to(torch.float32).numpy())


class Replica:
    """Weights on a device, in the precision they run in.

    On a GPU a full batch replays a CUDA graph: one launch instead of some hundred. Other batches run as they are.
    """

    def __init__(self, snapshot: Snapshot, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        with torch.device("meta"):
            model = build_vision_transformer(snapshot.config)
        # On the CPU in float32 the weights are the snapshot's own memory, not a second copy.
        model.load_state_dict(snapshot.state_dict, strict=True, assign=True)
        self.model: Any = model.to(device, dtype)
        self._graph: _Graph | None = None

    @torch.inference_mode()
    def launch(self, images: torch.Tensor, *, full_batch: int, blocks: int) -> Launched:
        """Begin to encode (n, C, P, P) from any device; on a GPU this returns before the work is done."""
        if self.device.type == "cpu":
            images = images.to(self.device, self.dtype)
            return Launched(self.forward(images, full_batch=full_batch, blocks=blocks))
        with torch.cuda.device(self.device):
            pinned = images if images.is_cuda else images.pin_memory()
            images = pinned.to(self.device, self.dtype, non_blocking=True)
            features = self.forward(images, full_batch=full_batch, blocks=blocks)
            host = torch.empty(features.shape, dtype=features.dtype, pin_memory=True)
            host.copy_(features, non_blocking=True)
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            copied.record()
            return Launched(host, copied)

    def forward(self, images: torch.Tensor, *, full_batch: int, blocks: int) -> torch.Tensor:
        """(n, C, P, P) to (n, 1 + N, (1 + blocks) D), both on the device.

        A full batch's result lasts until the next one's.
        """
        if self.device.type == "cuda" and len(images) == full_batch:
            return self._graph_for(images, blocks=blocks).replay(images)
        return encode_images(self.model, images, blocks=blocks)

    def release(self) -> None:
        """Give back all memory but the weights, after the device ran out of it."""
        self._graph = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _graph_for(self, images: torch.Tensor, *, blocks: int) -> "_Graph":
        if self._graph is None or not self._graph.fits(images, blocks=blocks):
            self._graph = None
            self._graph = _Graph(self.model, images, blocks=blocks)
        return self._graph


class _Graph:
    """The forward pass for one shape of batch, recorded once."""

    def __init__(self, model: Any, images: torch.Tensor, *, blocks: int) -> None:
        self._blocks = blocks
        self._images = images.clone()
        # Libraries set up their workspaces in a first pass, which must not be recorded and, as PyTorch's manual of CUDA
        # graphs asks, runs on a side stream.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            encode_images(model, self._images, blocks=blocks)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._features = encode_images(model, self._images, blocks=blocks)

    def fits(self, images: torch.Tensor, *, blocks: int) -> bool:
        return self._images.shape == images.shape and self._blocks == blocks

    def replay(self, images: torch.Tensor) -> torch.Tensor:
        """The features lie in the graph's own memory; what the stream is given next may read them, the next replay
        writes over them."""
        self._images.copy_(images)
        self._graph.replay()
        return self._features
