from pathlib import Path

import numpy as np
import pytest
import torch

from encoder_cases import TINY, cosine, input_of, random_input
from operators.domain.features import EncoderInput, EncoderInputSettings
from operators.domain.geometry import Geometry
from operators.encoder import features as features_module
from operators.encoder.features import Encoder
from operators.encoder.snapshot import Snapshot
from operators.encoder.tensor_file import TensorPart
from operators.encoder.vision_transformer import build_vision_transformer
from operators.errors import ResourceError

SLICES = 11


def snapshot() -> Snapshot:
    torch.manual_seed(1)
    state = build_vision_transformer(TINY).state_dict()
    state = {name: torch.randn(tensor.shape) * 0.1 for name, tensor in state.items()}
    return Snapshot(TINY, EncoderInputSettings(image_size=64), state, "0" * 64)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder(snapshot(), batch_size=4)


def oblique_input() -> EncoderInput:
    affine = np.array([[1.0, 0.3, 0.5, -20.0], [0.2, 0.9, -0.1, 7.0], [4.0, 0.1, 0.2, 33.0], [0, 0, 0, 1.0]])
    images = np.random.default_rng(3).normal(size=(SLICES, 1, 64, 64)).astype(np.float32)
    return input_of(images, Geometry(affine, (SLICES, 64, 64), "1.2.3"))


def test_a_token_lies_in_the_middle_of_its_patch(encoder: Encoder) -> None:
    encoder_input = oblique_input()
    features = encoder.encode(encoder_input)
    assert features.cls.shape == (SLICES, 24)
    assert features.tokens.shape == (SLICES, 16, 24)
    assert features.geometry.frame_of_reference_uid == "1.2.3"
    # Patch (row 2, column 3) covers pixels 32..47 and 48..63, whose middle is 39.5 and 55.5.
    middle = encoder_input.geometry.affine @ [4, 39.5, 55.5, 1.0]
    np.testing.assert_allclose(features.geometry.positions(np.array([4, 2, 3])), middle[:3], atol=1e-9)


def test_tokens_run_along_rows_of_the_grid(encoder: Encoder) -> None:
    """Changing one patch's pixels changes its own token most."""
    images = np.random.default_rng(3).normal(size=(5, 1, 64, 64)).astype(np.float32)
    before = encoder.encode(input_of(images)).tokens
    images[0, 0, 32:48, 48:64] += 3.0
    change = np.abs(encoder.encode(input_of(images)).tokens - before).sum(axis=2)
    assert change[0].argmax() == 2 * 4 + 3
    assert change[1:].max() == 0.0


@pytest.mark.parametrize("batch_size", [1, 3, SLICES, 64])
@pytest.mark.parametrize("devices", [("cpu",), ("cpu", "cpu"), ("cpu", "cpu", "cpu")])
def test_batches_and_devices_do_not_change_the_features(
    encoder: Encoder, devices: tuple[str, ...], batch_size: int
) -> None:
    whole = encoder.encode(oblique_input())
    spread = Encoder(snapshot(), devices=devices, batch_size=batch_size).encode(oblique_input())
    np.testing.assert_allclose(spread.tokens, whole.tokens, atol=1e-5)
    np.testing.assert_allclose(spread.cls, whole.cls, atol=1e-5)


def test_every_device_takes_its_share() -> None:
    spread = Encoder(snapshot(), devices=("cpu", "cpu"), batch_size=2)
    seen: list[list[int]] = [[], []]
    for replica, sizes in zip(spread.replicas, seen, strict=True):
        replica.model.patch_embed.register_forward_pre_hook(lambda _, inputs, sizes=sizes: sizes.append(len(inputs[0])))
    spread.encode(oblique_input())
    assert seen == [[2, 2, 2], [2, 2, 1]]


def refuse_batches_over(limit: int, encoder: Encoder, *, after: int = 0, error: Exception | None = None) -> list[int]:
    """Memory that holds *limit* slices once *after* were encoded; the list of batches that went through."""
    sizes: list[int] = []

    def refuse(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if len(inputs[0]) > limit and sum(sizes) >= after:
            raise error or torch.OutOfMemoryError("out of memory")
        sizes.append(len(inputs[0]))

    for replica in encoder.replicas:
        replica.model.patch_embed.register_forward_pre_hook(refuse)
    return sizes


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("out"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: 12 bytes"),
    ],
    ids=["CUDA", "CuPy or NumPy", "PyTorch's CPU allocator"],
)
def test_halves_the_batch_when_memory_runs_out(encoder: Encoder, error: Exception) -> None:
    expected = encoder.encode(oblique_input()).tokens
    sizes = refuse_batches_over(2, encoder, error=error)
    np.testing.assert_allclose(encoder.encode(oblique_input()).tokens, expected, atol=1e-5)
    assert sizes == [2, 2, 2, 2, 2, 1]


def test_goes_on_from_where_it_was(encoder: Encoder) -> None:
    """Features that were handed on stay; only the batch whose result was still awaited is encoded again."""
    expected = encoder.encode(oblique_input()).tokens
    sizes = refuse_batches_over(2, encoder, after=8)
    np.testing.assert_allclose(encoder.encode(oblique_input()).tokens, expected, atol=1e-5)
    assert sizes == [4, 4, 2, 2, 2, 1]


def test_gives_up_after_half_the_batch(encoder: Encoder) -> None:
    refuse_batches_over(1, encoder)
    with pytest.raises(ResourceError, match="memory of cpu ran out at 2 slices of 64 pixels"):
        encoder.encode(oblique_input())


def test_another_error_is_passed_on(encoder: Encoder) -> None:
    refuse_batches_over(1, encoder, error=RuntimeError("a defect"))
    with pytest.raises(RuntimeError, match="a defect"):
        encoder.encode(oblique_input())


def test_tokens_beyond_the_bound_lie_in_a_file(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = encoder.encode(oblique_input(), scratch=tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(features_module, "FEATURES_IN_MEMORY", 4 * SLICES * 17 * 24 - 1)
    on_disk = encoder.encode(oblique_input(), scratch=tmp_path)
    assert isinstance(on_disk.tokens, TensorPart)
    np.testing.assert_array_equal(on_disk.cls, in_memory.cls)
    np.testing.assert_array_equal(on_disk.tokens[:], in_memory.tokens)
    for place, tokens in on_disk.token_blocks():
        np.testing.assert_array_equal(tokens, in_memory.tokens[place])


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precisions_point_the_same_way(encoder: Encoder, precision: str) -> None:
    exact = encoder.encode(oblique_input())
    halves = Encoder(snapshot(), precision=precision, batch_size=4).encode(oblique_input())
    assert halves.tokens.dtype == np.float32
    assert not np.array_equal(halves.tokens, exact.tokens)
    assert cosine(halves.tokens, exact.tokens).min() > 0.999


def test_weights_in_float32_on_the_cpu_are_not_copied() -> None:
    weights = snapshot()
    encoder = Encoder(weights)
    assert encoder.replicas[0].model.pos_embed.data_ptr() == weights.state_dict["pos_embed"].data_ptr()


def test_refuses_images_of_another_size(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match=r"expected 64 pixels along both sides, got \(32, 32\)"):
        encoder.encode(random_input(32, slices=2))


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "smallest"), [("float32", 0.99999), ("bfloat16", 0.999), ("float16", 0.999)])
def test_a_gpu_gives_the_same_features(encoder: Encoder, precision: str, smallest: float) -> None:
    """Two full batches, which replay a graph, and one that is not full; the second time nothing is recorded."""
    expected = encoder.encode(oblique_input())
    on_gpu = Encoder(snapshot(), devices=("cuda:0",), precision=precision, batch_size=4)
    first, second = (on_gpu.encode(oblique_input()) for _ in range(2))
    np.testing.assert_array_equal(first.tokens, second.tokens)
    for ours, theirs in ((first.tokens, expected.tokens), (first.cls, expected.cls)):
        assert cosine(ours, theirs).min() > smallest
