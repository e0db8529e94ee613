from pathlib import Path

import torch

from operators.domain.features import EncoderInputSettings
from operators.encoder.snapshot import read_snapshot
from operators.encoder.torchvision_schemas import define_missing_schemas
from operators.encoder.vision_transformer import build_vision_transformer
from slice_cases import tiny_config
from trainer.export.model_folder import write_snapshot
from trainer.features.random_features import RandomEncoderSettings, random_state
from trainer.pretraining.model.masked_encoder import CLS_SHARE, MaskedEncoder, initialise, take_random_features

CONFIG = tiny_config().encoder_config


def encoder(*, drop_path: float = 0.0, checkpointing: bool = False) -> MaskedEncoder:
    model = MaskedEncoder(CONFIG, drop_path=drop_path, checkpointing=checkpointing)
    initialise(model, torch.Generator().manual_seed(0))
    # Features that depend on every part, which an untrained layer scale and CLS hide.
    torch.nn.init.normal_(model.mask_token, generator=torch.Generator().manual_seed(1))
    return model


def images(size: int = 32) -> torch.Tensor:
    return torch.randn(3, 1, size, size, generator=torch.Generator().manual_seed(2))


def masks() -> torch.Tensor:
    return torch.rand(3, 16, generator=torch.Generator().manual_seed(3)) < 0.4


def test_without_masks_it_is_the_application_s_encoder() -> None:
    model = encoder()
    plain = build_vision_transformer(CONFIG)
    plain.load_state_dict(model.snapshot_state())
    torch.testing.assert_close(model(images()), plain.forward_features(images()))  # type: ignore[operator]


def test_transformers_agrees_on_masked_and_on_smaller_images(tmp_path: Path) -> None:
    define_missing_schemas()
    from transformers import Dinov2Model

    model = encoder().eval()
    write_snapshot(model.snapshot_state(), CONFIG, EncoderInputSettings(image_size=32), tmp_path)
    # What was written is rounded to half precision.
    model.vit.load_state_dict(
        {name: weight for name, weight in zip(model.vit.state_dict(), _read(tmp_path), strict=True)}
    )
    theirs = Dinov2Model.from_pretrained(tmp_path, dtype=torch.float32).eval()
    theirs.embeddings.mask_token.data.copy_(model.mask_token[0])
    with torch.inference_mode():
        expected = theirs(images(), bool_masked_pos=masks()).last_hidden_state
        torch.testing.assert_close(model(images(), masks()), expected, atol=1e-5, rtol=0)
        smaller = theirs(images(16)).last_hidden_state
        torch.testing.assert_close(model(images(16)), smaller, atol=1e-5, rtol=0)


def _read(folder: Path) -> list[torch.Tensor]:
    state = read_snapshot(folder).state_dict
    return [state[name].float() for name in build_vision_transformer(CONFIG).state_dict()]


def test_hidden_pixels_change_nothing() -> None:
    model, hidden = encoder(), masks()
    changed = images()
    patches = hidden.view(3, 4, 4).repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    changed[:, 0][patches] = 7.0
    torch.testing.assert_close(model(changed, hidden), model(images(), hidden))
    assert not torch.allclose(model(changed), model(images()))


def test_activation_checkpoints_change_no_number() -> None:
    """They run every block a second time on the way back, with the same drops."""
    gradients, runs = [], []
    for checkpointing in (False, True):
        model = encoder(drop_path=0.4, checkpointing=checkpointing)
        calls: list[object] = []
        for block in model.vit.blocks:
            block.register_forward_pre_hook(lambda module, _, calls=calls: calls.append(module))
        torch.manual_seed(5)
        model(images(), masks()).square().sum().backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        runs.append(len(calls))
    assert runs == [2, 4]
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])


def test_every_parameter_is_initialised_by_the_seed() -> None:
    """Two models filled with other numbers become the same one."""
    states = []
    for filler in (float("nan"), 3.0):
        model = MaskedEncoder(CONFIG, drop_path=0.0, checkpointing=False)
        fixed = {name for name, _ in model.named_parameters() if "norm" in name or name.endswith("gamma")}
        for name, parameter in model.named_parameters():
            if name not in fixed:
                torch.nn.init.constant_(parameter, filler)
        initialise(model, torch.Generator().manual_seed(0))
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert float(states[0]["vit.blocks.0.attn.qkv.weight"].std()) < 0.025


def test_random_features_are_the_random_encoder_s_without_what_all_tokens_share() -> None:
    model = encoder()
    take_random_features(model, CONFIG, seed=4)
    expected = random_state(CONFIG, RandomEncoderSettings(seed=4, bias_gain=0.0, block_gain=CONFIG.layerscale_value))
    assert not expected["patch_embed.proj.bias"].any()
    expected["cls_token"] = CLS_SHARE * expected["cls_token"]
    assert model.snapshot_state().keys() == expected.keys()
    for name, weights in model.snapshot_state().items():
        assert torch.equal(weights, expected[name]), name
