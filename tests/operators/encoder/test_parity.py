"""Features against transformers' own Dinov2Model, at the sizes of the published models, on random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from encoder_cases import CURIA_2_B, CURIA_2_G, CURIA_2_L, cosine, input_of, write_random_snapshot
from operators.encoder.features import Encoder
from operators.encoder.snapshot import Snapshot, read_snapshot
from operators.encoder.torchvision_schemas import define_missing_schemas
from operators.encoder.vision_transformer import EncoderConfig

TOLERANCE = 1e-4
"""Of the range of the features."""

SIZES = {
    "B at 512": (CURIA_2_B, 1),
    "L at 224, 4 of 24 layers": (CURIA_2_L.model_copy(update={"image_size": 224, "num_hidden_layers": 4}), 1),
    "g at 224, 2 of 40 layers": (CURIA_2_G.model_copy(update={"image_size": 224, "num_hidden_layers": 2}), 2),
}


class Case:
    """A random snapshot, and what transformers makes of it."""

    def __init__(self, config: EncoderConfig, slices: int, folder: Path) -> None:
        define_missing_schemas()
        from transformers import Dinov2Model

        write_random_snapshot(config, folder)
        self.snapshot: Snapshot = read_snapshot(folder)
        self.reference = Dinov2Model.from_pretrained(folder, dtype=torch.float32).eval()
        self.images = images(config.image_size, slices)
        with torch.inference_mode():
            output = self.reference(torch.from_numpy(self.images), output_hidden_states=True)
        self.normed = output.last_hidden_state.numpy()
        self.before_norm, self.one_block_earlier = (output.hidden_states[-k].numpy() for k in (1, 2))


def images(size: int, slices: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(slices, 1, size, size)).astype(np.float32)


@pytest.fixture(scope="module", params=SIZES, ids=list(SIZES))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(*SIZES[request.param], tmp_path_factory.mktemp("snapshot"))


def assert_close(ours: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, atol=TOLERANCE * np.ptp(theirs), rtol=0)


def test_features_equal_transformers(case: Case) -> None:
    encoder = Encoder(case.snapshot)
    features = encoder.encode(input_of(case.images))
    assert_close(features.cls, case.normed[:, 0])
    assert_close(features.tokens, case.normed[:, 1:])
    more = encoder.encode(input_of(case.images), blocks=2)
    assert_close(more.tokens, case.normed[:, 1:])
    width = encoder.config.hidden_size
    assert_close(more.states[..., :width], case.before_norm)
    assert_close(more.states[..., width:], case.one_block_earlier)
    assert np.abs(more.states[:, 1:, :width] - case.normed[:, 1:]).max() > 0.1


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """All layers, through which roundings add up, and few tokens: a CPU takes many times as long for float16."""
    return Case(CURIA_2_B.model_copy(update={"image_size": 224}), 1, tmp_path_factory.mktemp("small"))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precisions_point_the_same_way(small: Case, precision: str) -> None:
    features = Encoder(small.snapshot, precision=precision).encode(input_of(small.images))
    assert cosine(features.cls, small.normed[:, 0]).min() > 0.999
    assert cosine(features.tokens, small.normed[:, 1:]).min() > 0.999


SHALLOW = CURIA_2_B.model_copy(update={"num_hidden_layers": 1, "hidden_size": 192, "num_attention_heads": 3})


@pytest.mark.parametrize("size", [224, 336, 512, 768, 1024])
def test_other_sizes_interpolate_positions_as_hugging_face_does(
    tmp_path: Path, size: int, shallow: tuple[Path, torch.nn.Module]
) -> None:
    folder, reference = shallow
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    processor = tmp_path / "preprocessor_config.json"
    processor.write_text(processor.read_text().replace('"crop_size": 512', f'"crop_size": {size}'))
    snapshot = read_snapshot(tmp_path)
    assert snapshot.input_settings.image_size == snapshot.config.image_size == size
    features = Encoder(snapshot).encode(input_of(images(size, 1)))
    with torch.inference_mode():
        expected = reference(torch.from_numpy(images(size, 1))).last_hidden_state.numpy()
    assert_close(features.cls, expected[:, 0])
    assert_close(features.tokens, expected[:, 1:])


@pytest.fixture(scope="module")
def shallow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    define_missing_schemas()
    from transformers import Dinov2Model

    folder = write_random_snapshot(SHALLOW, tmp_path_factory.mktemp("shallow"))
    return folder, Dinov2Model.from_pretrained(folder, dtype=torch.float32).eval()
