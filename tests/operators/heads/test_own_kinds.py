"""Each of our own kinds of heads against its formula, on features in two blocks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from encoder_cases import TINY, input_of
from head_cases import (
    SHA256,
    SLICES,
    SNAPSHOT,
    SOURCE,
    WIDTH,
    answer_of,
    random_features,
    read_kind,
    series_of,
    write_kind,
)
from operators.domain.concepts import Code
from operators.domain.features import FeatureVolume
from operators.encoder.snapshot import Snapshot
from operators.errors import CheckpointError
from operators.heads.calibration import Isotonic, Output
from operators.heads.dense import DecoderHead
from operators.heads.head import HeadAnswer, HeadFolder, SeriesFeatures
from operators.heads.kinds import read_head
from operators.heads.labels import Label
from operators.heads.multi_label import MultiLabelRecord
from operators.heads.pixel_decoder import DecoderKind
from operators.heads.survival import SurvivalRecord
from trainer.export.model_folder import write_head

RNG = np.random.default_rng(7)
NAMES = ("nodule", "effusion", "fracture")
BOTH = ["cls", "mean-token"]


def pooled(features: FeatureVolume) -> np.ndarray:
    """(2 D,) in float64, all at once."""
    return np.concatenate(
        [features.cls.astype(np.float64).mean(axis=0), features.tokens.astype(np.float64).mean(axis=(0, 1))]
    )


def values(answer: HeadAnswer) -> list[float | None]:
    return [finding.probability for finding in answer.findings]


def multi_label(folder: Path, **more: Any) -> tuple[Path, dict[str, np.ndarray]]:
    tensors = {"weight": RNG.normal(size=(3, 2 * WIDTH)), "bias": RNG.normal(size=3)}
    record = {"task": "classification", "kind": "multi-label", "inputs": BOTH} | more
    return write_kind(folder, record, NAMES, tensors), tensors


def test_multi_label_is_a_sigmoid_for_each_finding(tmp_path: Path) -> None:
    folder, tensors = multi_label(tmp_path)
    features = random_features()
    answer = answer_of(folder, series_of(features))
    expected = expit(tensors["weight"] @ pooled(features) + tensors["bias"])
    assert values(answer) == pytest.approx(list(expected), abs=1e-5)
    assert [finding.name for finding in answer.findings] == [f"lung: {name}" for name in NAMES]
    assert {finding.not_evaluated for finding in answer.findings} == {"no operating point"}


def test_each_finding_has_its_own_calibration_and_operating_point(tmp_path: Path) -> None:
    chosen = {"threshold": 0.5, "operating_point": "Youden on held-out patients"}
    outputs = {
        "nodule": chosen | {"calibration": {"method": "platt", "slope": 0.5, "intercept": -0.25}},
        "effusion": {"calibration": {"method": "temperature", "temperature": 2.0}},
        "fracture": chosen
        | {"calibration": {"method": "isotonic", "scores": [-1.0, 1.0], "probabilities": [0.25, 0.75]}},
    }
    folder, tensors = multi_label(tmp_path, outputs=outputs)
    features = random_features()
    answer = answer_of(folder, series_of(features))
    logits = tensors["weight"] @ pooled(features) + tensors["bias"]
    expected = [
        expit(0.5 * logits[0] - 0.25),
        expit(logits[1] / 2),
        float(np.clip(0.5 + 0.25 * logits[2], 0.25, 0.75)),
    ]
    assert values(answer) == pytest.approx(expected, abs=1e-5)
    assert [finding.present for finding in answer.findings] == [expected[0] >= 0.5, None, expected[2] >= 0.5]
    assert [finding.threshold for finding in answer.findings] == [0.5, None, 0.5]


def test_ordinal_probabilities_are_those_of_cumulative_odds(tmp_path: Path) -> None:
    weight, bias = RNG.normal(size=(1, WIDTH)), np.array([1.0, -0.5])
    record = {"task": "classification", "kind": "ordinal", "inputs": ["cls"]}
    folder = write_kind(tmp_path, record, ("mild", "moderate", "severe"), {"weight": weight, "bias": bias})
    features = random_features()
    score = float((weight @ pooled(features)[:WIDTH])[0])
    above_mild, above_moderate = expit(score + 1.0), expit(score - 0.5)
    expected = [1 - above_mild, above_mild - above_moderate, above_moderate]
    assert values(answer_of(folder, series_of(features))) == pytest.approx(expected, abs=1e-5)
    write_kind(tmp_path, record, ("mild", "moderate", "severe"), {"weight": weight, "bias": bias[::-1]})
    with pytest.raises(CheckpointError, match="bias: expected none larger than the one before"):
        read_kind(tmp_path)


def test_regression_is_a_number_with_its_unit(tmp_path: Path) -> None:
    weight, bias = RNG.normal(size=(1, 2 * WIDTH)), np.array([40.0])
    unit = {"value": "a", "scheme": "UCUM", "meaning": "year"}
    record = {"task": "regression", "kind": "linear", "inputs": BOTH, "quantity": "age", "unit": unit}
    folder = write_kind(tmp_path, record, (), {"weight": weight, "bias": bias})
    features = random_features()
    (measurement,) = answer_of(folder, series_of(features)).measurements
    assert measurement.value == pytest.approx(float(weight[0] @ pooled(features)) + 40.0, abs=1e-4)
    assert (measurement.name, measurement.unit.value, measurement.segment_number) == ("age", "a", None)
    assert len(measurement.code.value) <= 16


DAYS, HAZARD = np.array([100.0, 300.0, 900.0]), np.array([0.1, 0.25, 0.6])


def survival(folder: Path, **more: Any) -> tuple[Path, dict[str, np.ndarray]]:
    tensors = {
        "weight": RNG.normal(size=WIDTH),
        "mean": RNG.normal(size=WIDTH) / 10,
        "baseline_days": DAYS,
        "baseline_hazard": HAZARD,
    }
    record = {"task": "survival", "kind": "cox", "inputs": ["cls"], "event": "death", "horizons_days": [50, 300, 800]}
    return write_kind(folder, record | more, (), tensors), tensors


def test_survival_gives_the_hazard_ratio_and_points_of_the_curve(tmp_path: Path) -> None:
    folder, tensors = survival(tmp_path)
    features = random_features()
    ratio = float(np.exp(tensors["weight"] @ (pooled(features)[:WIDTH] - tensors["mean"])))
    measurements = answer_of(folder, series_of(features)).measurements
    assert [measurement.name for measurement in measurements] == [
        "lung, hazard ratio",
        "lung, no death until day 50",
        "lung, no death until day 300",
        "lung, no death until day 800",
    ]
    # Nothing happens before day 100; the step of day 300 counts on day 300.
    expected = [ratio, 1.0, np.exp(-0.25 * ratio), np.exp(-0.25 * ratio)]
    assert [measurement.value for measurement in measurements] == pytest.approx(expected, rel=1e-5)
    assert len({measurement.code.value for measurement in measurements}) == 4


def test_without_horizons_the_whole_curve_is_told(tmp_path: Path) -> None:
    """A step function is known by its steps."""
    folder, tensors = survival(tmp_path, horizons_days=[])
    features = random_features()
    ratio = np.exp(tensors["weight"] @ (pooled(features)[:WIDTH] - tensors["mean"]))
    _, *points = answer_of(folder, series_of(features)).measurements
    assert [point.name.rpartition(" ")[2] for point in points] == ["100", "300", "900"]
    assert [point.value for point in points] == pytest.approx(list(np.exp(-HAZARD * ratio)), rel=1e-5)


@pytest.mark.parametrize(
    ("more", "tensors", "message"),
    [
        ({"horizons_days": [1000]}, {}, "the baseline hazard ends after 900 days, 1000 lie beyond it"),
        ({}, {"baseline_hazard": HAZARD[::-1]}, "baseline_hazard: expected values that rise from 0"),
        ({}, {"baseline_hazard": HAZARD[:2]}, r"baseline_hazard: .* ask for shape \(3,\)"),
    ],
)
def test_a_curve_that_cannot_be_is_refused(tmp_path: Path, more: dict, tensors: dict, message: str) -> None:
    folder, whole = survival(tmp_path, **more)
    record = {"task": "survival", "kind": "cox", "inputs": ["cls"], "event": "death", "horizons_days": [50]} | more
    write_kind(folder, record, (), whole | tensors)
    with pytest.raises(CheckpointError, match=message):
        read_kind(folder)


def test_prototypes_are_the_means_of_unit_examples(tmp_path: Path) -> None:
    examples, classes = RNG.normal(size=(5, WIDTH)), np.array([0, 0, 1, 1, 2])
    record = {"task": "classification", "kind": "prototypes", "inputs": ["cls"], "scale": 4.0}
    folder = write_kind(tmp_path, record, NAMES, {"examples": examples, "classes": classes})
    features = random_features()
    vector = pooled(features)[:WIDTH]
    unit = examples / np.linalg.norm(examples, axis=1, keepdims=True)
    means = np.stack([unit[:2].mean(axis=0), unit[2:4].mean(axis=0), unit[4]])
    cosines = means @ vector / (np.linalg.norm(means, axis=1) * np.linalg.norm(vector))
    assert values(answer_of(folder, series_of(features))) == pytest.approx(list(softmax(4.0 * cosines)), abs=1e-5)
    write_kind(tmp_path, record, NAMES, {"examples": examples, "classes": np.array([0, 0, 1, 1, 1])})
    with pytest.raises(CheckpointError, match="expected examples of each of 3 labels"):
        read_kind(tmp_path)


HIDDEN = 5


def instance_attention(folder: Path, instances: list[str], **more: Any) -> tuple[Path, dict[str, np.ndarray]]:
    tensors = {
        "classifier.weight": RNG.normal(size=(3, WIDTH)),
        "classifier.bias": RNG.normal(size=3),
        "tanh.weight": RNG.normal(size=(HIDDEN, WIDTH)),
        "tanh.bias": RNG.normal(size=HIDDEN),
        "sigmoid.weight": RNG.normal(size=(HIDDEN, WIDTH)),
        "sigmoid.bias": RNG.normal(size=HIDDEN),
        "score.weight": 3 * RNG.normal(size=(1, HIDDEN)),
        "score.bias": RNG.normal(size=1),
    }
    record = {"task": "classification", "kind": "instance-attention", "instances": instances} | more
    return write_kind(folder, record, NAMES, tensors), tensors


@pytest.mark.parametrize("instances", [["cls"], ["tokens"], ["cls", "tokens"]])
@pytest.mark.parametrize("exclusive", [False, True])
def test_gated_attention_read_block_by_block_equals_one_softmax(
    tmp_path: Path, instances: list[str], exclusive: bool
) -> None:
    folder, tensors = instance_attention(tmp_path, instances, exclusive=exclusive)
    features = random_features()
    parts = {"cls": features.cls, "tokens": features.tokens.reshape(-1, WIDTH)}
    bag = np.concatenate([parts[name] for name in instances]).astype(np.float64)
    gate = np.tanh(bag @ tensors["tanh.weight"].T + tensors["tanh.bias"])
    gate = gate * expit(bag @ tensors["sigmoid.weight"].T + tensors["sigmoid.bias"])
    attention = softmax(gate @ tensors["score.weight"][0])
    logits = tensors["classifier.weight"] @ (attention @ bag) + tensors["classifier.bias"]
    expected = softmax(logits) if exclusive else expit(logits)
    assert values(answer_of(folder, series_of(features))) == pytest.approx(list(expected), abs=1e-5)


def decoder(folder: Path, *, levels: int, hidden: int = 4, **tensors: np.ndarray) -> tuple[Path, dict[str, np.ndarray]]:
    whole = {"narrow.weight": RNG.normal(size=(hidden, WIDTH)), "narrow.bias": RNG.normal(size=hidden)}
    for number in range(1, levels + 1):
        whole[f"level{number}.weight"] = RNG.normal(size=(hidden, hidden + 1, 3, 3)) / 3
        whole[f"level{number}.bias"] = RNG.normal(size=hidden)
    whole |= {"classes.weight": RNG.normal(size=(2, hidden)), "classes.bias": RNG.normal(size=2)}
    record = {"task": "segmentation", "kind": "decoder", "levels": levels}
    folder = write_kind(folder, record, ("lung", "liver"), whole | tensors, category=True)
    return folder, {name: array.astype(np.float32) for name, array in (whole | tensors).items()}


def seen_and_encoded() -> tuple[SeriesFeatures, np.ndarray]:
    """Features with the (S, 1, 64, 64) images beside them."""
    images = RNG.normal(size=(SLICES, 1, 64, 64)).astype(np.float32)
    return series_of(random_features(), encoder_input=input_of(images, SOURCE)), images


@pytest.mark.parametrize("levels", [1, 3])
def test_a_decoder_equals_torchs_own_modules(tmp_path: Path, levels: int) -> None:
    folder, tensors = decoder(tmp_path, levels=levels)
    series, images = seen_and_encoded()
    weights = {name: torch.from_numpy(array) for name, array in tensors.items()}
    hidden = torch.from_numpy(series.features.tokens.copy()) @ weights["narrow.weight"].T + weights["narrow.bias"]
    hidden = torch.relu(hidden).permute(0, 2, 1).reshape(SLICES, 4, 4, 4)
    for number in range(1, levels + 1):
        hidden = torch.nn.Upsample(scale_factor=2, mode="bilinear")(hidden)
        beside = torch.nn.AvgPool2d(64 // hidden.shape[2])(torch.from_numpy(images))
        convolution = torch.nn.Conv2d(5, 4, 3, padding=1)
        convolution.load_state_dict({name: weights[f"level{number}.{name}"] for name in ("weight", "bias")})
        hidden = torch.relu(convolution(torch.cat([hidden, beside], dim=1)))
    expected = torch.einsum("nhij,ch->cnij", hidden, weights["classes.weight"])
    expected = (expected + weights["classes.bias"][:, None, None, None]).detach().numpy()
    (masks,) = answer_of(folder, series).masks
    for volume, of_class in zip(masks.evidence, expected, strict=True):
        np.testing.assert_allclose(volume.array, of_class, atol=1e-4)
        assert volume.geometry.shape == (SLICES, 4 * 2**levels, 4 * 2**levels)


def test_a_decoder_that_only_looks_at_the_image_draws_it(tmp_path: Path) -> None:
    """Its one convolution passes the image's channel on; what is brighter than 1 is lung, on the source's own grid."""
    level = np.zeros((1, 2, 3, 3))
    level[0, 1, 1, 1] = 1.0
    tensors = {
        "narrow.weight": np.zeros((1, WIDTH)),
        "narrow.bias": np.zeros(1),
        **{f"level{number}.weight": level for number in (1, 2, 3)},
        **{f"level{number}.bias": np.zeros(1) for number in (1, 2, 3)},
        "classes.weight": np.array([[1.0], [0.0]]),
        "classes.bias": np.array([-1.0, -1.0]),
    }
    folder, _ = decoder(tmp_path, levels=3, hidden=1, **tensors)
    images = np.zeros((SLICES, 1, 64, 64), np.float32)
    images[3:9, 0, 16:48, 8:40] = 4.0
    (masks,) = answer_of(folder, series_of(random_features(), encoder_input=input_of(images, SOURCE))).masks
    lung, liver = masks.regions(SOURCE, with_probabilities=False)
    assert not liver.mask.any()
    inside = np.zeros(SOURCE.shape, bool)
    inside[3:9, 16:48, 8:40] = True
    # Cells are two pixels wide: the outline lies within one of them.
    assert lung.mask[3:9, 18:46, 10:38].all()
    assert (lung.mask ^ inside).sum() <= 6 * 2 * (32 + 32) * 2


def test_a_finding_by_a_decoder_is_as_present_as_its_strongest_cells_and_drawn_by_them(tmp_path: Path) -> None:
    """Its evidence is the image's brightness less 1: 3 where it is bright, -1 elsewhere."""
    level = np.zeros((1, 2, 3, 3))
    level[0, 1, 1, 1] = 1.0
    tensors = {
        "narrow.weight": np.zeros((1, WIDTH)),
        "narrow.bias": np.zeros(1),
        "level1.weight": level,
        "level1.bias": np.zeros(1),
        "classes.weight": np.array([[1.0]]),
        "classes.bias": np.array([-1.0]),
    }
    record = {
        "task": "finding",
        "kind": "decoder",
        "levels": 1,
        "top_tokens": 1,
        "calibration": {"slope": 0.5, "intercept": 0.25},
        "threshold": 0.5,
        "mask_threshold": 1.0,
        "minimum_volume_ml": 0.0,
    }
    images = np.zeros((SLICES, 1, 64, 64), np.float32)
    images[3:9, 0, 16:48, 16:48] = 4.0
    for seen, present in ((images, True), (0 * images, False)):
        folder = write_kind(tmp_path / str(present), record, ("lung",), tensors, category=True)
        answer = answer_of(folder, series_of(random_features(), encoder_input=input_of(seen, SOURCE)))
        (finding,) = answer.findings
        assert finding.probability == pytest.approx(expit(0.5 * (3.0 if present else -1.0) + 0.25))
        assert finding.present == present
        assert len(answer.masks) == (1 if present else 0)
    folder = write_kind(tmp_path / "drawn", record, ("lung",), tensors, category=True)
    (mask,) = answer_of(folder, series_of(random_features(), encoder_input=input_of(images, SOURCE))).masks
    (region,) = mask.regions(SOURCE, with_probabilities=False)
    assert region.mask[3:9, 20:44, 20:44].all()
    assert not region.mask[:, :8].any()


def unet_tensors(channels: tuple[int, int, int, int], *, hidden: int) -> dict[str, np.ndarray]:
    """Of one doubling: grids of 8, 4 (the tokens'), 2 and 1 cells along a side."""
    came = (1, channels[0] + hidden, *channels[1:3])
    shapes: dict[str, tuple[int, ...]] = {"narrow": (hidden, WIDTH), "classes": (2, channels[0])}
    for grid, (before, here) in enumerate(zip(came, channels, strict=True), start=1):
        shapes |= {f"down{grid}.first": (here, before, 3, 3), f"down{grid}.second": (here, here, 3, 3)}
    for grid, (here, below) in enumerate(zip(channels[:-1], channels[1:], strict=True), start=1):
        shapes[f"up{grid}"] = (here, here + below, 3, 3)
    weights = {f"{name}.weight": RNG.normal(size=shape) / 3 for name, shape in shapes.items()}
    return weights | {f"{name}.bias": RNG.normal(size=shape[0]) for name, shape in shapes.items()}


def test_a_unet_equals_torchs_own_modules(tmp_path: Path) -> None:
    tensors = unet_tensors((3, 4, 5, 6), hidden=2)
    record = {"task": "segmentation", "kind": "unet", "levels": 1}
    folder = write_kind(tmp_path, record, ("lung", "liver"), tensors, category=True)
    series, images = seen_and_encoded()
    weights = {name: torch.from_numpy(array.astype(np.float32)) for name, array in tensors.items()}

    def convolved(name: str, *parts: torch.Tensor) -> torch.Tensor:
        out, came = weights[f"{name}.weight"].shape[:2]
        layer = torch.nn.Conv2d(came, out, 3, padding=1)
        layer.load_state_dict({kind: weights[f"{name}.{kind}"] for kind in ("weight", "bias")})
        return torch.relu(layer(torch.cat(parts, dim=1)))

    def twice(grid: int, *parts: torch.Tensor) -> torch.Tensor:
        return convolved(f"down{grid}.second", convolved(f"down{grid}.first", *parts))

    tokens = torch.from_numpy(series.features.tokens.copy()) @ weights["narrow.weight"].T + weights["narrow.bias"]
    tokens = torch.relu(tokens).permute(0, 2, 1).reshape(SLICES, 2, 4, 4)
    halved, doubled = torch.nn.AvgPool2d(2), torch.nn.Upsample(scale_factor=2, mode="bilinear")
    eight = twice(1, torch.nn.AvgPool2d(8)(torch.from_numpy(images)))
    four = twice(2, halved(eight), tokens)
    two = twice(3, halved(four))
    one = twice(4, halved(two))
    hidden = convolved("up3", doubled(one), two)
    hidden = convolved("up2", doubled(hidden), four)
    hidden = convolved("up1", doubled(hidden), eight)
    expected = torch.einsum("nhij,ch->cnij", hidden, weights["classes.weight"])
    expected = (expected + weights["classes.bias"][:, None, None, None]).detach().numpy()
    (masks,) = answer_of(folder, series).masks
    for volume, of_class in zip(masks.evidence, expected, strict=True):
        np.testing.assert_allclose(volume.array, of_class, rtol=1e-4, atol=1e-3)


def test_a_unet_of_other_channels_than_its_grids_hand_on_is_refused(tmp_path: Path) -> None:
    tensors = unet_tensors((3, 4, 5, 6), hidden=2)
    tensors["up1.weight"] = tensors["up1.weight"][:, 1:]
    record = {"task": "segmentation", "kind": "unet", "levels": 1}
    folder = write_kind(tmp_path, record, ("lung", "liver"), tensors, category=True)
    with pytest.raises(CheckpointError, match=r"up1\.weight: .*\(3, 7, 3, 3\), the file has \(3, 6, 3, 3\)"):
        answer_of(folder, seen_and_encoded()[0])


@pytest.mark.parametrize("kind", ["decoder", "unet"])
def test_an_ensembles_evidence_is_the_mean_of_what_its_members_say(kind: DecoderKind, tmp_path: Path) -> None:
    record = {"task": "segmentation", "kind": kind, "levels": 1}
    members = [
        unet_tensors((3, 4, 5, 6), hidden=2) if kind == "unet" else decoder(tmp_path / "shapes", levels=1)[1]
        for _ in range(3)
    ]
    folders = [
        write_kind(tmp_path / str(number), record, ("lung", "liver"), tensors, category=True)
        for number, tensors in enumerate(members)
    ]
    together = {
        f"member{number}.{name}": tensor
        for number, tensors in enumerate(members, start=1)
        for name, tensor in tensors.items()
    }
    ensemble = write_kind(tmp_path / "all", record | {"members": 3}, ("lung", "liver"), together, category=True)
    read = read_kind(ensemble)
    assert isinstance(read, DecoderHead)
    assert read.decoder.tensors.keys() == together.keys()
    series, _ = seen_and_encoded()
    (mean,) = answer_of(ensemble, series).masks
    alone = [answer_of(folder, series).masks[0].evidence for folder in folders]
    assert not np.allclose(alone[0][0].array, alone[1][0].array)
    for volume, *of_members in zip(mean.evidence, *alone, strict=True):
        np.testing.assert_allclose(volume.array, np.mean([one.array for one in of_members], axis=0), atol=1e-3)


def test_an_ensemble_that_lacks_a_member_is_refused(tmp_path: Path) -> None:
    tensors = unet_tensors((3, 4, 5, 6), hidden=2)
    record = {"task": "segmentation", "kind": "unet", "levels": 1, "members": 2}
    one = {f"member1.{name}": tensor for name, tensor in tensors.items()}
    folder = write_kind(tmp_path, record, ("lung", "liver"), one, category=True)
    with pytest.raises(CheckpointError, match=r"member2\.narrow\.bias cannot be read"):
        answer_of(folder, seen_and_encoded()[0])


def test_more_doublings_than_pixels_are_refused(tmp_path: Path) -> None:
    folder, _ = decoder(tmp_path, levels=3)
    small = Snapshot(TINY.model_copy(update={"patch_size": 4}), SNAPSHOT.input_settings, {}, SNAPSHOT.sha256)
    with pytest.raises(CheckpointError, match="3 doublings make more than the 4 pixels along a patch"):
        read_head(HeadFolder(folder, small, "cd" * 32))


def test_scikit_learn_trained_weights_answer_as_scikit_learn(tmp_path: Path) -> None:
    """An independent judge: its own probabilities on its own decision function."""
    vectors = RNG.normal(size=(40, WIDTH))
    model = LogisticRegression().fit(vectors, vectors[:, 0] + 0.1 * RNG.normal(size=40) > 0)
    record = {"task": "classification", "kind": "multi-label", "inputs": ["cls"]}
    folder = write_kind(tmp_path, record, ("nodule",), {"weight": model.coef_, "bias": model.intercept_})
    features = random_features(slices=1)
    (probability,) = values(answer_of(folder, series_of(features)))
    assert probability == pytest.approx(model.predict_proba(features.cls)[0, 1], abs=1e-5)


def test_a_head_that_reads_cls_alone_takes_no_tokens_from_the_disk(tmp_path: Path) -> None:
    folder, _ = survival(tmp_path)

    class Untouchable:
        shape = (SLICES, 16, WIDTH)

    features = random_features()
    object.__setattr__(features, "tokens", Untouchable())
    assert answer_of(folder, series_of(features)).measurements


@pytest.mark.gpu
def test_a_gpu_answers_alike(tmp_path: Path) -> None:
    features = random_features()
    for number, folder in enumerate(
        (multi_label(tmp_path / "a")[0], instance_attention(tmp_path / "b", ["cls", "tokens"])[0])
    ):
        on_cpu, on_gpu = (answer_of(folder, series_of(features, device=device)) for device in ("cpu", "cuda:0"))
        assert values(on_gpu) == pytest.approx(values(on_cpu), abs=1e-5), number
    assert torch.cuda.is_available()


def test_records_are_written_and_read_back(tmp_path: Path) -> None:
    """Names with blanks, nested tables and tuples go through TOML as they are."""
    common = {"name": "chest", "version": "1", "encoder_sha256": SHA256, "data": "none", "modality": ("CT",)}
    outputs = {
        "pleural effusion": Output(
            calibration=Isotonic(method="isotonic", scores=(-1.0, 2.0), probabilities=(0.1, 0.9)),
            threshold=0.25,
            operating_point="Youden",
        )
    }
    record = MultiLabelRecord(
        task="classification",
        kind="multi-label",
        inputs=("cls",),
        outputs=outputs,
        contrast=("with",),
        slices=(10, 600),
        **common,
    )
    labels = [Label(name="pleural effusion", code=Code("60046008", "SCT", "Pleural effusion"))]
    weights = {"weight": np.ones((1, WIDTH)), "bias": np.zeros(1)}
    write_head(record, labels, weights, tmp_path / "chest")
    read = read_kind(tmp_path / "chest")
    assert read.record == record
    cox = SurvivalRecord(
        task="survival", kind="cox", inputs=("cls",), event="death", horizons_days=(365.0,), **common | {"name": "cox"}
    )
    tensors = {"weight": np.ones(WIDTH), "mean": np.zeros(WIDTH), "baseline_days": DAYS, "baseline_hazard": HAZARD}
    write_head(cox, (), tensors, tmp_path / "cox")
    assert read_kind(tmp_path / "cox").record == cox
    assert not (tmp_path / "cox/labels.toml").exists()
