import tomllib
from pathlib import Path

import numpy as np
import torch

from encoder_cases import TINY
from operators.domain.features import EncoderInputSettings
from operators.encoder.snapshot import read_snapshot
from operators.encoder.torchvision_schemas import define_missing_schemas
from operators.encoder.vision_transformer import build_vision_transformer
from operators.heads.linear import Linear, read_linear
from trainer.demo_model.head_labels import structure
from trainer.export.model_folder import to_toml, write_head, write_snapshot
from trainer.features.random_features import RandomEncoderSettings, random_state


def test_transformers_reads_our_snapshot_with_equal_features(tmp_path: Path) -> None:
    define_missing_schemas()
    from transformers import Dinov2Model

    write_snapshot(random_state(TINY, RandomEncoderSettings()), TINY, EncoderInputSettings(image_size=64), tmp_path)
    theirs = Dinov2Model.from_pretrained(tmp_path, dtype=torch.float32).eval()
    snapshot = read_snapshot(tmp_path)
    ours = build_vision_transformer(TINY)
    ours.load_state_dict(snapshot.state_dict)
    images = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = theirs(images).last_hidden_state
        torch.testing.assert_close(ours.forward_features(images), expected, atol=1e-5, rtol=0)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    first, again, other = (
        write_snapshot(random_state(TINY, RandomEncoderSettings(seed=s)), TINY, EncoderInputSettings(), tmp_path / n)
        for s, n in ((1, "a"), (1, "b"), (2, "c"))
    )
    assert first == again != other


def test_weights_in_fortran_order_come_back_as_they_were(tmp_path: Path) -> None:
    weight = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    write_head(
        structure("soft-tissue mass"),
        [structure("soft-tissue mass")],
        Linear(weight, np.zeros(2, np.float32)).tensors,
        tmp_path,
    )
    np.testing.assert_array_equal(read_linear(tmp_path, num_outputs=2, num_features=3).weight, weight)


def test_whoever_may_read_the_settings_may_read_the_weights(tmp_path: Path) -> None:
    write_snapshot(random_state(TINY, RandomEncoderSettings()), TINY, EncoderInputSettings(), tmp_path / "encoder")
    write_head(
        structure("soft-tissue mass"),
        [structure("soft-tissue mass")],
        Linear(np.ones((2, 3), np.float32), np.zeros(2, np.float32)).tensors,
        tmp_path / "head",
    )
    modes = {path.stat().st_mode for path in tmp_path.glob("*/*")}
    assert len(modes) == 1


def test_toml_reads_back() -> None:
    record = {
        "text": 'a "quoted" word \\ and Größe',
        "number": 0.25,
        "yes": True,
        "list": ["a", "b"],
        "table": {"A-1": 3, "a.b": 4, "inner": {"x": -1.5e-7}},
        "rows": [{"name": "one", "code": {"value": "1"}}, {"name": "two"}],
    }
    assert tomllib.loads(to_toml(record)) == record
