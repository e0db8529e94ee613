"""Adapters on random weights of the right shapes, against the libraries' own outputs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from operators.domain.volume import Volume
from operators.encoder.torchvision_schemas import define_missing_schemas
from trainer.features.rivals.open_clip_models import open_open_clip_model
from trainer.features.rivals.picture_input import PictureInput
from trainer.features.rivals.timm_models import open_timm_model
from trainer.features.rivals.transformers_models import open_transformers_model
from trainer.ingest.pictures import flat_volume

define_missing_schemas()

PLAIN = PictureInput(32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def phantom() -> Volume:
    """A bright corner at the front right of the patient, another at the back; nothing is symmetric."""
    pixels = np.full((2, 64, 64), -1000.0, np.float32)
    pixels[:, :16, :32] = 240.0
    pixels[:, 48:, 60:] = 40.0
    return flat_volume(pixels)


def test_the_window_ends_at_black_and_white_and_nothing_is_turned() -> None:
    images = PLAIN.prepare(phantom(), "hu")
    assert images.shape == (2, 3, 32, 32)
    assert torch.equal(images[:, 0], images[:, 2])
    assert images[0, 0, 2, 4] == 1.0
    assert images[0, 0, 2, 28] == 0.0
    assert images[0, 0, 28, 31] == pytest.approx(0.5)
    assert images[0, 0, 28, 4] == 0.0


def test_eight_bits_are_shares_of_white_and_a_scanners_units_go_by_percentiles() -> None:
    eight = flat_volume(np.full((4, 4), 51.0, np.float32))
    torch.testing.assert_close(PLAIN.prepare(eight, "8-bit"), torch.full((1, 3, 32, 32), 0.2))
    rising = flat_volume(np.linspace(0, 5000, 64 * 64, dtype=np.float32).reshape(64, 64))
    whole = PictureInput(64, PLAIN.mean, PLAIN.deviation)
    scaled = whole.prepare(rising, "scanner")
    assert scaled.min() == 0.0
    assert scaled.max() == 1.0
    shifted = Volume(rising.array * 3 + 7, rising.geometry)
    torch.testing.assert_close(whole.prepare(shifted, "scanner"), scaled, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("architecture", "prefix"), [("vit_tiny_patch16_224", 1), ("vit_small_patch16_dinov3", 5)])
def test_a_timm_snapshot_gives_timms_tokens(tmp_path: Path, architecture: str, prefix: int) -> None:
    import timm

    torch.manual_seed(0)
    model = timm.create_model(architecture, pretrained=False, num_classes=0, img_size=64).eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    config = {"mean": [0.4] * 3, "std": [0.2] * 3, "input_size": [3, 64, 64]}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": architecture, "pretrained_cfg": config}))
    opened = open_timm_model(tmp_path, device="cpu")
    found = opened.features(phantom(), "hu")
    with torch.inference_mode():
        expected = model.forward_features(PictureInput(64, (0.4,) * 3, (0.2,) * 3).prepare(phantom(), "hu")).numpy()
    np.testing.assert_allclose(found.cls, expected[:, 0], atol=1e-5)
    np.testing.assert_allclose(found.tokens, expected[:, prefix:], atol=1e-5)
    assert found.geometry.shape == (2, 4, 4)


def test_an_open_clip_folder_gives_the_tokens_of_its_image_half(tmp_path: Path) -> None:
    """Named as open_clip names what it saves; the text half is left out."""
    import timm

    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=0, img_size=64).eval()
    trunk = {f"visual.trunk.{name}": tensor for name, tensor in model.state_dict().items()}
    save_file(
        {**trunk, "text.proj.weight": torch.zeros(3), "logit_scale": torch.zeros(1)},
        tmp_path / "open_clip_model.safetensors",
    )
    vision = {"timm_model_name": "vit_tiny_patch16_224", "image_size": 64}
    told = {
        "model_cfg": {"vision_cfg": vision},
        "preprocess_cfg": {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]},
    }
    (tmp_path / "open_clip_config.json").write_text(json.dumps(told))
    found = open_open_clip_model(tmp_path, device="cpu").features(phantom(), "hu")
    contract = PictureInput(64, (0.48, 0.46, 0.41), (0.27, 0.26, 0.28))
    with torch.inference_mode():
        expected = model.forward_features(contract.prepare(phantom(), "hu")).numpy()
    np.testing.assert_allclose(found.tokens, expected[:, 1:], atol=1e-5)
    np.testing.assert_allclose(found.cls, expected[:, 0], atol=1e-5)
    assert found.geometry.shape == (2, 4, 4)


@pytest.mark.parametrize("family", ["dinov2", "siglip"])
def test_a_transformers_snapshot_gives_its_last_hidden_state(tmp_path: Path, family: str) -> None:
    from transformers import Dinov2Config, Dinov2Model, SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 56, "patch_size": 14}
    if family == "dinov2":
        model = Dinov2Model(Dinov2Config(**sizes)).eval()
    else:
        model = SiglipVisionModel(SiglipVisionConfig(**sizes, intermediate_size=48)).eval()
    model.save_pretrained(tmp_path)
    found = open_transformers_model(tmp_path, device="cpu").features(phantom(), "hu")
    images = PictureInput(56, (0.5,) * 3, (0.5,) * 3).prepare(phantom(), "hu")
    with torch.inference_mode():
        expected = model(pixel_values=images).last_hidden_state.numpy()
    patches = expected[:, 1:] if family == "dinov2" else expected
    np.testing.assert_allclose(found.tokens, patches, atol=1e-5)
    np.testing.assert_allclose(found.cls, expected[:, 0] if family == "dinov2" else patches.mean(axis=1), atol=1e-5)


def test_what_is_no_snapshot_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    for opened in (open_timm_model, open_transformers_model, open_open_clip_model):
        with pytest.raises(ValueError, match=r"expected .*config.json and .*model.safetensors"):
            opened(tmp_path, device="cpu")
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"architecture": "their_own", "model_type": "medimageinsight"}')
    with pytest.raises(ValueError, match="architecture: expected one that timm has, got 'their_own'"):
        open_timm_model(tmp_path, device="cpu")
    with pytest.raises(ValueError, match="model_type: expected one of dinov2, .*got 'medimageinsight'"):
        open_transformers_model(tmp_path, device="cpu")
