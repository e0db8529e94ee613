"""A tiny model folder with one head of each kind."""

from pathlib import Path

import numpy as np
import pytest

from encoder_cases import TINY
from operators.domain.concepts import TARGET_REGION
from operators.domain.features import EncoderInputSettings
from operators.heads.body_region import BodyRegionRecord
from operators.heads.finding import Calibration, LinearFindingRecord
from operators.heads.linear import Linear
from operators.heads.organs import SegmentationRecord
from trainer.demo_model.head_labels import REGIONS, structure
from trainer.export.model_folder import write_digests, write_head, write_model_file, write_snapshot
from trainer.features.random_features import RandomEncoderSettings, random_state

WIDTH = TINY.hidden_size


def linear(outputs: int, features: int) -> Linear:
    rng = np.random.default_rng(outputs)
    return Linear(rng.normal(size=(outputs, features)).astype(np.float32), np.zeros(outputs, np.float32))


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    state = random_state(TINY, RandomEncoderSettings(seed=0))
    sha256 = write_snapshot(state, TINY, EncoderInputSettings(image_size=64), folder / "encoder")
    common = {"version": "1", "encoder_sha256": sha256, "data": "none", "kind": "linear"}
    region = BodyRegionRecord(
        name="region",
        task="body-region",
        modality=("CT", "MR"),
        inputs=("cls", "mean-token"),
        code=TARGET_REGION,
        **common,
    )
    organs = SegmentationRecord(
        name="organs",
        task="segmentation",
        modality=("CT",),
        inputs=("tokens",),
        subdivision=2,
        minimum_volume_ml=0.0,
        **common,
    )
    mass = LinearFindingRecord(
        name="mass",
        task="finding",
        modality=("CT",),
        body_region=("extremity",),
        inputs=("tokens",),
        top_tokens=2,
        calibration=Calibration(slope=1.0, intercept=0.0),
        threshold=0.5,
        mask_threshold=0.0,
        minimum_volume_ml=0.0,
        **common,
    )
    write_head(region, REGIONS, linear(5, 2 * WIDTH).tensors, folder / "heads/region")
    labels = [structure(name) for name in ("lung", "liver", "bone")]
    write_head(organs, labels, linear(3 * 4, WIDTH).tensors, folder / "heads/organs")
    write_head(mass, [structure("soft-tissue mass")], linear(1, WIDTH).tensors, folder / "heads/mass")
    record = {"name": "tiny", "version": "1", "demonstration": True, "licence": "none", "intended_use": "tests"}
    write_model_file(record, folder)
    write_digests(folder)
    return folder
