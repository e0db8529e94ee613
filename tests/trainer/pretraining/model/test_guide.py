"""The frozen network: its own forward pass, put together again from timm's model."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from operators.encoder.torchvision_schemas import define_missing_schemas
from trainer.demo_model.builder import GUIDE
from trainer.pretraining.model.guide import ARCHITECTURE, TOKEN_WIDTH, WHOLE_WIDTH, Guide, open_guide

CPU = torch.device("cpu")


def test_tokens_hold_three_strides_and_the_whole_is_what_the_classifier_reads() -> None:
    define_missing_schemas()
    import timm

    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    guide = Guide(GUIDE, CPU)
    features = guide(images)
    assert features.tokens.shape == (1, 4 * 6, TOKEN_WIDTH)
    assert features.whole.shape == (1, WHOLE_WIDTH)
    stages = timm.create_model(ARCHITECTURE, pretrained=False, features_only=True).eval()
    whole = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0).eval()
    for network in (stages, whole):
        network.load_state_dict(guide._network.state_dict(), strict=False)
    with torch.no_grad():
        *_, fine, middle, _ = stages(images)
        torch.testing.assert_close(features.whole, whole(images), atol=1e-4, rtol=1e-4)
    # pixel_unshuffle has the four cells of a channel side by side.
    corner = torch.cat([fine[0, :, :2, :2].flatten(), middle[0, :, 0, 0]])
    torch.testing.assert_close(features.tokens[0, 0, : len(corner)], corner, atol=1e-4, rtol=1e-4)


def test_it_tells_textures_apart_and_is_frozen() -> None:
    guide = Guide(GUIDE, CPU)
    stripes = torch.sin(torch.arange(64.0)).expand(1, 3, 64, 64)
    plain, striped = (guide(image).whole for image in (torch.zeros(1, 3, 64, 64), stripes))
    assert functional.cosine_similarity(plain, striped).item() < 0.9
    assert not any(parameter.requires_grad for parameter in guide._network.parameters())


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    assert open_guide(None, CPU) is None
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    for path in (tmp_path / "a.safetensors", tmp_path / "missing.safetensors"):
        with pytest.raises(ValueError, match=r"guide\.weights"):
            open_guide(str(path), CPU)
