"""Snapshots in every naming against transformers' own model."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from encoder_cases import input_of
from operators.encoder.features import Encoder
from operators.encoder.key_names import to_our_names
from operators.encoder.snapshot import read_snapshot
from operators.encoder.torchvision_schemas import define_missing_schemas
from operators.encoder.vision_transformer import EncoderConfig
from operators.errors import CheckpointError

SMALL = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 64}


def reference_model(**changes: object) -> torch.nn.Module:
    define_missing_schemas()
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(5)
    settings = {"patch_size": 16, "num_channels": 1, "use_swiglu_ffn": True, **changes}
    model = Dinov2Model(Dinov2Config(**settings)).eval()
    for parameter in model.parameters():
        # Norms, biases and layer scales start at 1 and 0, where a swapped pair would not show.
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model


def save_reference(model: torch.nn.Module, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    model.save_pretrained(folder)
    record = {"image_processor_type": "CuriaImageProcessor", "crop_size": model.config.image_size, "eps": 1e-6}
    (folder / "preprocessor_config.json").write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize(
    "shape",
    [SMALL, {**SMALL, "use_swiglu_ffn": False}, {**SMALL, "qkv_bias": False}],
    ids=["SwiGLU", "GELU", "no QKV bias"],
)
def test_features_equal_transformers(tmp_path: Path, shape: dict[str, object]) -> None:
    model = reference_model(**shape)
    images = np.random.default_rng(0).normal(size=(2, 1, 64, 64)).astype(np.float32)
    features = Encoder(read_snapshot(save_reference(model, tmp_path))).encode(input_of(images))
    with torch.inference_mode():
        expected = model(torch.from_numpy(images)).last_hidden_state.numpy()
    tolerance = 1e-4 * np.ptp(expected)
    np.testing.assert_allclose(features.cls, expected[:, 0], atol=tolerance, rtol=0)
    np.testing.assert_allclose(features.tokens, expected[:, 1:], atol=tolerance, rtol=0)


def legacy(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return tensors


def transformers_5(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in tensors.items():
        for old, new in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj")):
            name = name.replace(f"attention.attention.{old}", f"attention.{new}")
        name = name.replace("attention.output.dense", "attention.o_proj").replace("mlp.weights_out", "mlp.down_proj")
        if "mlp.weights_in" in name:
            gate, up = tensor.chunk(2)
            renamed[name.replace("weights_in", "gate_proj")] = gate.contiguous()
            renamed[name.replace("weights_in", "up_proj")] = up.contiguous()
        else:
            renamed[name] = tensor
    return renamed


def original(tensors: dict[str, Tensor], *, block: str = "blocks.{}") -> dict[str, Tensor]:
    """Written out by hand from the original code's module names."""
    named = {
        "cls_token": tensors["embeddings.cls_token"],
        "mask_token": tensors["embeddings.mask_token"],
        "pos_embed": tensors["embeddings.position_embeddings"],
        "patch_embed.proj.weight": tensors["embeddings.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": tensors["embeddings.patch_embeddings.projection.bias"],
        "norm.weight": tensors["layernorm.weight"],
        "norm.bias": tensors["layernorm.bias"],
    }
    for index in range(SMALL["num_hidden_layers"]):
        ours, theirs = block.format(index), f"encoder.layer.{index}"
        for kind in ("weight", "bias"):
            parts = [tensors[f"{theirs}.attention.attention.{part}.{kind}"] for part in ("query", "key", "value")]
            named[f"{ours}.attn.qkv.{kind}"] = torch.cat(parts)
            named[f"{ours}.attn.proj.{kind}"] = tensors[f"{theirs}.attention.output.dense.{kind}"]
            named[f"{ours}.mlp.w12.{kind}"] = tensors[f"{theirs}.mlp.weights_in.{kind}"]
            named[f"{ours}.mlp.w3.{kind}"] = tensors[f"{theirs}.mlp.weights_out.{kind}"]
            for norm in ("norm1", "norm2"):
                named[f"{ours}.{norm}.{kind}"] = tensors[f"{theirs}.{norm}.{kind}"]
        for scale in "12":
            named[f"{ours}.ls{scale}.gamma"] = tensors[f"{theirs}.layer_scale{scale}.lambda1"]
    return named


def in_chunks(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each block in a chunk of its own; its second number counts on."""
    return original(tensors, block="blocks.{0}.{0}")


def teacher(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    prefixed = {f"teacher.backbone.{name}": tensor for name, tensor in in_chunks(tensors).items()}
    return {**prefixed, "teacher.dino_head.mlp.0.weight": torch.zeros(2, 2), "teacher.ibot_head.x": torch.zeros(2)}


def distributed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.student.backbone.{name}": tensor for name, tensor in original(tensors).items()}


def classifier(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    wrapped = {f"dinov2.{name}": tensor for name, tensor in transformers_5(tensors).items()}
    return {**wrapped, "classifier.weight": torch.zeros(2, 96), "classifier.bias": torch.zeros(2)}


def without_mask_token(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name != "embeddings.mask_token"}


def head_folder(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    queries = {"attention_module.cross_attention.learned_queries": torch.zeros(1, 48)}
    return (
        {f"dino.{name}": tensor for name, tensor in tensors.items()}
        | {"classifier.weight": torch.zeros(2, 2)}
        | queries
    )


@pytest.mark.parametrize(
    "naming",
    [legacy, transformers_5, original, in_chunks, teacher, distributed, classifier, head_folder, without_mask_token],
)
def test_every_naming_gives_the_same_tensors(tmp_path: Path, naming: object) -> None:
    folder = save_reference(reference_model(**SMALL), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    expected = read_snapshot(folder).state_dict
    save_file(naming(tensors), folder / "model.safetensors")
    state = read_snapshot(folder).state_dict
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_shards_give_the_same_tensors_and_the_digest_is_the_file_s(tmp_path: Path) -> None:
    folder = save_reference(reference_model(**SMALL), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    whole = read_snapshot(folder)
    assert whole.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    (folder / "model.safetensors").unlink()
    names = list(tensors)
    shards = {"one.safetensors": names[::2], "two.safetensors": names[1::2]}
    for shard, members in shards.items():
        save_file({name: tensors[name] for name in members}, folder / shard)
    index = {"weight_map": {name: shard for shard, members in shards.items() for name in members}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    state = read_snapshot(folder).state_dict
    assert all(torch.equal(state[name], whole.state_dict[name]) for name in whole.state_dict)


@pytest.fixture
def snapshot_folder(tmp_path: Path) -> Path:
    return save_reference(reference_model(**SMALL), tmp_path)


def rewrite(folder: Path, **changes: Tensor | None) -> None:
    tensors = load_file(folder / "model.safetensors") | changes
    save_file({name: t for name, t in tensors.items() if t is not None}, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layernorm.bias": None}, r"'norm\.bias' of shape \(48,\) is missing"),
        ({"encoder.layer.1.attention.attention.key.bias": None}, r"key\.bias': missing beside"),
        ({"rope.freqs": torch.zeros(3)}, r"'rope\.freqs' has no place"),
        ({"embeddings.cls_token": torch.zeros(1, 1, 40)}, r"'cls_token'.*shape \(1, 1, 48\).*\(1, 1, 40\)"),
        ({"student.cls_token": torch.zeros(1, 1, 48)}, "a second one for 'cls_token'"),
        ({"embeddings.register_tokens": torch.zeros(1, 4, 48)}, r"4 register tokens.*expected an encoder without"),
        ({"register_tokens": torch.zeros(1, 4, 48)}, r"4 register tokens.*expected an encoder without"),
        (
            {"encoder.layer.0.mlp.weights_in.weight": torch.zeros(128, 48)},
            r"'blocks\.0\.mlp\.fc1\.weight'.*asks for shape \(256, 48\).*the file has \(128, 48\)",
        ),
    ],
)
def test_refuses_and_names_the_tensor(snapshot_folder: Path, changes: dict[str, Tensor], message: str) -> None:
    rewrite(snapshot_folder, **changes)
    with pytest.raises(CheckpointError, match=message):
        read_snapshot(snapshot_folder)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("config.json", {"model_type": "vit"}, "model_type"),
        ("config.json", {"num_attention_heads": 5}, "does not divide"),
        ("preprocessor_config.json", {"crop_size": 40}, "40-pixel images, which config.json's patches of 16"),
        ("preprocessor_config.json", {"do_normalize": False}, "do_normalize"),
        ("preprocessor_config.json", {"image_processor_type": "BitImageProcessor"}, "CuriaImageProcessor"),
    ],
)
def test_refuses_settings_it_would_not_repeat(
    snapshot_folder: Path, file: str, change: dict[str, object], message: str
) -> None:
    record = json.loads((snapshot_folder / file).read_text()) | change
    (snapshot_folder / file).write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=message):
        read_snapshot(snapshot_folder)


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_refuses_a_folder_without_one_of_its_files(snapshot_folder: Path, file: str) -> None:
    (snapshot_folder / file).unlink()
    with pytest.raises(CheckpointError, match=file):
        read_snapshot(snapshot_folder)


def test_refuses_weights_cut_short(snapshot_folder: Path) -> None:
    path = snapshot_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="not readable as safetensors"):
        read_snapshot(snapshot_folder)


@pytest.mark.parametrize(("width", "expected"), [(768, 2048), (1024, 2736), (1536, 4096)])
def test_swiglu_width_of_the_published_sizes(width: int, expected: int) -> None:
    assert EncoderConfig(hidden_size=width, num_attention_heads=16, use_swiglu_ffn=True).ffn_width == expected


def test_a_shape_that_no_rule_knows_keeps_its_name() -> None:
    assert list(to_our_names({"teacher.something.else": torch.zeros(1)})) == ["something.else"]
