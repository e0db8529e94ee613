import numpy as np
import pytest
import torch

from operators.domain.features import EncoderInput, EncoderInputSettings
from operators.domain.geometry import Geometry
from operators.encoder.features import Encoder
from operators.encoder.snapshot import Snapshot
from operators.encoder.vision_transformer import EncoderConfig, build_vision_transformer
from operators.errors import ResourceError

CONFIG = EncoderConfig(
    hidden_size=24, num_hidden_layers=1, num_attention_heads=2, patch_size=16, num_channels=1, image_size=64
)


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(1)
    state = build_vision_transformer(CONFIG).state_dict()
    state = {name: torch.randn(tensor.shape) * 0.1 for name, tensor in state.items()}
    return Encoder(Snapshot(CONFIG, EncoderInputSettings(image_size=64), state, "0" * 64), batch_size=4)


def oblique_input() -> EncoderInput:
    affine = np.array([[1.0, 0.3, 0.5, -20.0], [0.2, 0.9, -0.1, 7.0], [4.0, 0.1, 0.2, 33.0], [0, 0, 0, 1.0]])
    images = np.random.default_rng(3).normal(size=(5, 1, 64, 64)).astype(np.float32)
    return EncoderInput(images, Geometry(affine, (5, 64, 64), "1.2.3"))


def test_a_token_lies_in_the_middle_of_its_patch(encoder: Encoder) -> None:
    encoder_input = oblique_input()
    features = encoder.encode(encoder_input)
    assert features.cls.shape == (5, 24)
    assert features.tokens.shape == (5, 16, 24)
    assert features.geometry.frame_of_reference_uid == "1.2.3"
    # Patch (row 2, column 3) covers pixels 32..47 and 48..63, whose middle is 39.5 and 55.5.
    middle = encoder_input.geometry.affine @ [4, 39.5, 55.5, 1.0]
    np.testing.assert_allclose(features.geometry.positions(np.array([4, 2, 3])), middle[:3], atol=1e-9)


def test_tokens_run_along_rows_of_the_grid(encoder: Encoder) -> None:
    """Changing one patch's pixels changes its own token most."""
    encoder_input = oblique_input()
    before = encoder.encode(encoder_input).tokens
    encoder_input.images[0, 0, 32:48, 48:64] += 3.0
    change = np.abs(encoder.encode(encoder_input).tokens - before).sum(axis=2)
    assert change[0].argmax() == 2 * 4 + 3
    assert change[1:].max() == 0.0


def test_batches_do_not_change_the_features(encoder: Encoder) -> None:
    whole = encoder.encode(oblique_input())
    encoder.batch_size = 1
    np.testing.assert_allclose(encoder.encode(oblique_input()).tokens, whole.tokens, atol=1e-5)


def refuse_batches_over(limit: int, encoder: Encoder) -> None:
    """Memory that holds *limit* slices, as the device's allocator would tell."""

    def refuse(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if len(inputs[0]) > limit:
            raise torch.OutOfMemoryError("out of memory")

    encoder.model.patch_embed.register_forward_pre_hook(refuse)


def test_halves_the_batch_when_memory_runs_out(encoder: Encoder) -> None:
    expected = encoder.encode(oblique_input()).tokens
    refuse_batches_over(2, encoder)
    np.testing.assert_allclose(encoder.encode(oblique_input()).tokens, expected, atol=1e-5)


def test_gives_up_after_half_the_batch(encoder: Encoder) -> None:
    refuse_batches_over(1, encoder)
    with pytest.raises(ResourceError, match="at 2 slices of 64 pixels"):
        encoder.encode(oblique_input())


def test_refuses_images_of_another_size(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match=r"\(1, 64, 64\).*\(2, 1, 32, 32\)"):
        encoder.encode(EncoderInput(np.zeros((2, 1, 32, 32), np.float32), Geometry(np.eye(4), (2, 32, 32))))
