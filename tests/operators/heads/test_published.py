"""Published heads against a plain restatement of their forward pass, on the features of a real (tiny) encoder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from encoder_cases import TINY, random_input
from head_cases import write_kind, write_published
from operators.domain.features import EncoderInputSettings, FeatureVolume
from operators.domain.finding import Finding
from operators.domain.geometry import Geometry
from operators.encoder.features import Encoder
from operators.encoder.snapshot import Snapshot, read_snapshot
from operators.errors import CheckpointError, ModelDigestError
from operators.heads.head import HeadAnswer, HeadFolder, Heads, SeriesFeatures, ask
from operators.heads.kinds import read_head
from operators.heads.readout import predict_findings
from trainer.export.model_folder import write_snapshot
from trainer.features.random_features import RandomEncoderSettings, random_state

SLICES = 6
WIDTH = TINY.hidden_size
SOURCE = Geometry(np.diag([3.0, 1.0, 1.0, 1.0]), (SLICES, 64, 64), "1.2.3")
SOURCE.affine[:3, :3] = [[0, 0, 1.0], [0, 1.0, 0], [3.0, 0, 0]]
LABELS = ("no tear", "partial", "complete")


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    folder = tmp_path_factory.mktemp("snapshot")
    write_snapshot(random_state(TINY, RandomEncoderSettings(seed=1)), TINY, EncoderInputSettings(image_size=64), folder)
    return read_snapshot(folder)


@pytest.fixture(scope="module")
def features(snapshot: Snapshot) -> FeatureVolume:
    """Of axial slices: the source's grid is the encoder's."""
    from dataclasses import replace

    encoder_input = replace(random_input(64, slices=SLICES), geometry=SOURCE)
    return Encoder(snapshot).encode(encoder_input, blocks=2)


def mask() -> np.ndarray:
    """(D, H, W) a box in slices 1 to 4 that ends within tokens, one pixel wide in slice 4."""
    drawn = np.zeros(SOURCE.shape, bool)
    drawn[1:4, 10:30, 20:50] = True
    drawn[4, 40, 41] = True
    return drawn


def answer(
    folder: Path, snapshot: Snapshot, features: FeatureVolume, masks: dict[str, np.ndarray] | None = None
) -> HeadAnswer:
    head = read_head(HeadFolder(folder, snapshot, "ab" * 32))
    series = SeriesFeatures(features, SOURCE, "MR", "1.5", masks=masks or {})
    (given,) = ask([head], series)
    return given


def restated_tokens(features: FeatureVolume, config: dict[str, Any], drawn: np.ndarray | None) -> torch.Tensor:
    """What is pooled or classified, as the published code gathers it: one slice after the other."""
    states = torch.from_numpy(np.asarray(features.states))
    blocks = 1 if drawn is not None else config.get("use_n_blocks", 1)
    middle, count = SLICES // 2, config.get("num_slices")
    resized = None
    if drawn is not None:
        pixels = torch.from_numpy(drawn.astype(np.float32))[:, None]
        resized = torch.nn.functional.max_pool2d(pixels, 16)[:, 0].flatten(1) > 0
        inside = [k for k in range(SLICES) if drawn[k].any()]
        middle = inside[(len(inside) - 1) // 2]
    chosen = range(SLICES) if count is None else range(middle - count // 2, middle - count // 2 + count)
    chosen = [k for k in chosen if drawn is None or drawn[k].any()]
    gathered, classes = [], []
    for k in chosen:
        per_block = []
        for block in range(blocks):
            tokens = states[k, 1:, block * WIDTH : (block + 1) * WIDTH]
            if resized is not None:
                tokens = tokens[resized[k]]
            elif config.get("kernel_size") and not any(
                config.get(f"use_avgpool_{a}") for a in ("per_slice", "on_the_volume")
            ):
                size = config["kernel_size"]
                tokens = tokens.reshape(4 // size, size, 4 // size, size, WIDTH).mean(dim=(1, 3)).reshape(-1, WIDTH)
            per_block.append(tokens)
        gathered.append(torch.cat(per_block, dim=1))
        classes.append(states[k, 0, : blocks * WIDTH])
    width = blocks * WIDTH
    places = torch.zeros(len(chosen), width)
    for k in range(len(chosen)):
        for feature in range(0, width, 2):
            angle = k * 10000 ** (-feature / width)
            places[k, feature], places[k, feature + 1] = np.sin(angle), np.cos(angle)
    use_class = config.get("use_class_token", False)
    if config.get("use_avgpool_per_slice"):
        rows = [tokens.mean(dim=0) + place for tokens, place in zip(gathered, places, strict=True)]
        if use_class:
            rows = [torch.cat([c + p, row]) for c, p, row in zip(classes, places, rows, strict=True)]
        return torch.stack(rows)
    if config.get("use_avgpool_on_the_volume"):
        mean = torch.cat(gathered).mean(dim=0)
        return (torch.cat([torch.stack(classes).mean(dim=0), mean]) if use_class else mean)[None]
    parts = []
    for tokens, class_token, place in zip(gathered, classes, places, strict=True):
        parts += [(class_token + place)[None]] if use_class else []
        parts.append(tokens + place)
    return torch.cat(parts)


def restated_attention(x: torch.Tensor, tensors: dict[str, torch.Tensor], config: dict[str, Any]) -> torch.Tensor:
    """torch's own MultiheadAttention and LayerNorm."""
    attention, width = config["attention_cfg"], x.shape[1]
    x = x[None]
    for block in attention.get("block", ("self", "cross")):
        prefix = f"attention_module.{block}_attention."
        module = torch.nn.MultiheadAttention(width, attention.get("num_heads", 1), batch_first=True)
        norm = torch.nn.LayerNorm(width)
        module.load_state_dict(
            {
                name: tensors[f"{prefix}attention.multihead_attn.{name}"]
                for name in ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
            }
        )
        norm.load_state_dict({name: tensors[f"{prefix}attention.norm.{name}"] for name in ("weight", "bias")})
        query = x if block == "self" else tensors[f"{prefix}learned_queries"][None]
        x = norm(query + module(query, x, x)[0])
    return x.mean(dim=1)


ATTENTION = {"num_heads": 2, "num_queries": 3}
VOLUME_CONFIGS = {
    "three slices": {"attention_cfg": ATTENTION, "num_slices": 3},
    "all slices, class tokens": {"attention_cfg": ATTENTION, "use_class_token": True},
    "queries alone": {"attention_cfg": ATTENTION | {"block": ["cross"]}, "num_slices": 4},
    "two blocks": {"attention_cfg": ATTENTION, "use_n_blocks": 2, "num_slices": 2},
    "pooled tokens": {"attention_cfg": ATTENTION, "kernel_size": 2, "num_slices": 5},
    "means of slices": {"attention_cfg": ATTENTION, "use_avgpool_per_slice": True, "use_class_token": True},
    "mean of the volume": {"use_avgpool_on_the_volume": True, "use_class_token": True, "use_n_blocks": 2},
    "more slices than there are": {"attention_cfg": ATTENTION, "num_slices": 6},
}


@pytest.mark.parametrize("regression", [False, True], ids=["classes", "regression"])
@pytest.mark.parametrize("with_mask", [False, True], ids=["no mask", "mask"])
@pytest.mark.parametrize("name", VOLUME_CONFIGS)
def test_a_volume_head_equals_its_restatement(
    tmp_path: Path, snapshot: Snapshot, features: FeatureVolume, name: str, with_mask: bool, regression: bool
) -> None:
    config = VOLUME_CONFIGS[name]
    blocks = 1 if with_mask else config.get("use_n_blocks", 1)
    averages = config.get("use_avgpool_per_slice") or config.get("use_avgpool_on_the_volume")
    width = blocks * WIDTH * (2 if averages and config.get("use_class_token") else 1)
    tensors = write_published(
        tmp_path / "head", snapshot, classes=1 if regression else 3, width=width, regression=regression, **config
    )
    settings = 'mask_segment = "knee"' if with_mask else "reads_mask = false"
    (tmp_path / "head/head.toml").write_text(settings)
    rows = restated_tokens(features, config, mask() if with_mask else None)
    pooled = restated_attention(rows, tensors, config) if "attention_cfg" in config else rows
    logits = (pooled @ tensors["classifier.weight"].T + tensors["classifier.bias"]).detach().numpy()
    given = answer(tmp_path / "head", snapshot, features, {"knee": mask()})
    if regression:
        (measurement,) = given.measurements
        assert measurement.value == pytest.approx(float(logits[0, 0]), abs=1e-5)
        assert (measurement.name, measurement.segment_number) == ("head", None)
    else:
        exponentials = np.exp(logits[0])
        assert probabilities(given.findings) == pytest.approx(list(exponentials / exponentials.sum()), abs=1e-5)


def probabilities(findings: tuple[Finding, ...]) -> list[float | None]:
    return [finding.probability for finding in findings]


@pytest.mark.parametrize("aggregate", ["max", "mean"])
@pytest.mark.parametrize("with_mask", [False, True], ids=["no mask", "mask"])
@pytest.mark.parametrize("classes", [1, 3])
def test_a_slice_head_answers_slice_by_slice(
    tmp_path: Path, snapshot: Snapshot, features: FeatureVolume, classes: int, with_mask: bool, aggregate: str
) -> None:
    tensors = write_published(tmp_path / "head", snapshot, classes=classes)
    settings = 'mask_segment = "knee"' if with_mask else "reads_mask = false"
    (tmp_path / "head/head.toml").write_text(f'{settings}\naggregate = "{aggregate}"')
    rows, slices = torch.from_numpy(np.array(features.cls)), list(range(SLICES))
    if with_mask:
        slices = [1, 2, 3, 4]
        covered = torch.nn.functional.max_pool2d(torch.from_numpy(mask().astype(np.float32))[:, None], 16) > 0
        tokens = torch.from_numpy(np.array(features.tokens[:]))
        rows = torch.stack([tokens[k][covered[k].flatten()].mean(dim=0) for k in slices])
    logits = rows @ tensors["classifier.weight"].T + tensors["classifier.bias"]
    expected = (logits.sigmoid() if classes == 1 else logits.softmax(dim=1)).numpy()
    given = answer(tmp_path / "head", snapshot, features, {"knee": mask()})
    of_series = expected.max(axis=0) if aggregate == "max" else expected.mean(axis=0)
    assert probabilities(given.findings) == pytest.approx(list(of_series), abs=1e-5)
    for number, finding in enumerate(given.findings):
        assert finding.name == f"head: class {number}"
        assert (finding.present, finding.not_evaluated) == (None, "no operating point")
        decisive = slices[int(expected[:, number].argmax())]
        assert given.points[finding.name] == pytest.approx(SOURCE.positions(np.array([decisive, 31.5, 31.5])))


def test_a_slice_regression_is_the_mean_over_its_slices(
    tmp_path: Path, snapshot: Snapshot, features: FeatureVolume
) -> None:
    tensors = write_published(tmp_path / "ixi", snapshot, classes=1, regression=True)
    (tmp_path / "ixi/head.toml").write_text(
        'quantity = "age"\n[unit]\nvalue = "a"\nscheme = "UCUM"\nmeaning = "year"\n'
    )
    (measurement,) = answer(tmp_path / "ixi", snapshot, features).measurements
    expected = features.cls @ tensors["classifier.weight"].numpy().T + tensors["classifier.bias"].numpy()
    assert measurement.value == pytest.approx(float(expected.mean()), abs=1e-5)
    assert (measurement.name, measurement.unit.value) == ("age", "a")


LABELS_TOML = "".join(
    f'[[label]]\nname = "{name}"\ncode = {{value = "{k}", scheme = "99TEST", meaning = "{name}"}}\n'
    for k, name in enumerate(LABELS)
)


def test_with_thresholds_at_most_the_likeliest_class_is_present(
    tmp_path: Path, snapshot: Snapshot, features: FeatureVolume
) -> None:
    write_published(tmp_path / "kneeMRI-3D", snapshot, **VOLUME_CONFIGS["three slices"])
    (tmp_path / "kneeMRI-3D/labels.toml").write_text(LABELS_TOML)
    without = answer(tmp_path / "kneeMRI-3D", snapshot, features)
    assert [finding.name for finding in without.findings] == [f"kneeMRI-3D: {name}" for name in LABELS]
    likeliest = int(np.argmax(probabilities(without.findings)))
    lines = [f'[outputs."{name}"]\nthreshold = 0.01\noperating_point = "Youden"\n' for name in LABELS]
    (tmp_path / "kneeMRI-3D/head.toml").write_text("".join(lines))
    given = answer(tmp_path / "kneeMRI-3D", snapshot, features)
    assert [finding.present for finding in given.findings] == [k == likeliest for k in range(3)]
    assert [masks.finding for masks in given.masks] == [f"kneeMRI-3D: {LABELS[likeliest]}"]
    (contributions,) = (masks.contributions for masks in given.masks)
    # Of the three slices that it reads.
    assert [bool(array.any()) for array in contributions.array] == [False, False, True, True, True, False]
    lines[likeliest] = lines[likeliest].replace("0.01", "1.0")
    (tmp_path / "kneeMRI-3D/head.toml").write_text("".join(lines))
    findings = answer(tmp_path / "kneeMRI-3D", snapshot, features).findings
    assert [finding.present for finding in findings] == [False] * 3


@pytest.mark.parametrize("kind", ["slice head with a mask", "means of slices, each classified by itself"])
def test_a_present_finding_of_slices_lies_where_the_deciding_slice_speaks_for_it(
    tmp_path: Path, snapshot: Snapshot, features: FeatureVolume, kind: str
) -> None:
    """The tokens' contributions and the bias add up to that slice's logit, and every other slice has none."""
    masked = kind.startswith("slice head")
    config = {} if masked else {"use_avgpool_per_slice": True}
    tensors = write_published(tmp_path / "head", snapshot, **config)
    settings = 'mask_segment = "knee"' if masked else "reads_mask = false"
    always = "".join(f'[outputs."class {k}"]\nthreshold = 0.0\noperating_point = "always"\n' for k in range(3))
    (tmp_path / "head/head.toml").write_text(f"{settings}\nminimum_volume_ml = 0.0\n{always}")
    given = answer(tmp_path / "head", snapshot, features, {"knee": mask()})
    (number,) = (k for k, finding in enumerate(given.findings) if finding.present)
    weight, bias = tensors["classifier.weight"].numpy(), tensors["classifier.bias"].numpy()
    if masked:
        covered = torch.nn.functional.max_pool2d(torch.from_numpy(mask().astype(np.float32))[:, None], 16) > 0
        counts = covered.flatten(1).sum(dim=1).numpy()
        shares = covered.flatten(1).numpy() / np.maximum(counts, 1)[:, None]
        parts = np.asarray(features.tokens[:]) @ weight.T * shares[..., None]
        logits = np.where(counts[:, None] > 0, parts.sum(axis=1) + bias, -np.inf)
        rest = np.broadcast_to(bias, logits.shape)
    else:
        rows = restated_tokens(features, config, None).numpy() @ weight.T
        parts = np.asarray(features.states)[:, 1:, :WIDTH] @ weight.T / 16
        logits, rest = rows + bias, rows - parts.sum(axis=1) + bias
    told = torch.from_numpy(logits).softmax(dim=1).nan_to_num(0).numpy()
    parts, logits, rest, decisive = (
        parts[..., number],
        logits[:, number],
        rest[:, number],
        int(told[:, number].argmax()),
    )
    (masks,) = given.masks
    of_tokens = masks.contributions.array.reshape(SLICES, -1)
    np.testing.assert_allclose(of_tokens[decisive], parts[decisive], atol=1e-5)
    assert not np.delete(of_tokens, decisive, axis=0).any()
    assert of_tokens.sum() + rest[decisive] == pytest.approx(logits[decisive], abs=1e-5)
    (region, *_) = masks.regions(SOURCE, with_probabilities=False)
    assert [bool(drawn.any()) for drawn in region.mask] == [k == decisive for k in range(SLICES)]
    strongest = np.unravel_index(int(of_tokens.argmax()), features.geometry.shape)
    point = features.geometry.positions(np.array(strongest, float))
    assert given.points[f"head: class {number}"] == pytest.approx(list(point))


def test_a_slice_head_that_reads_cls_has_the_deciding_slice_for_a_place(
    tmp_path: Path, snapshot: Snapshot, features: FeatureVolume
) -> None:
    tensors = write_published(tmp_path / "head", snapshot, classes=1)
    always = '[outputs."class 0"]\nthreshold = 0.0\noperating_point = "always"\n'
    (tmp_path / "head/head.toml").write_text(f"reads_mask = false\n{always}")
    given = answer(tmp_path / "head", snapshot, features)
    logits = features.cls @ tensors["classifier.weight"][0].numpy()
    assert (given.findings[0].present, given.masks) == (True, ())
    expected = SOURCE.positions(np.array([int(logits.argmax()), 31.5, 31.5]))
    assert given.points["head: class 0"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "settings", "masks", "reason"),
    [
        ("anatomy-mri", "", {}, "needs a region"),
        ("atlas-stroke", "", {}, "needs a region or none, config.json does not say"),
        ("kits", 'mask_segment = "kidney"', {"liver": mask()}, "needs a region: no segment 'kidney' was found"),
        ("kits", 'mask_segment = "kidney"', {"kidney": np.zeros(SOURCE.shape, bool)}, "no segment 'kidney' was found"),
    ],
)
def test_without_its_region_a_head_does_not_guess(
    tmp_path: Path, snapshot: Snapshot, features: FeatureVolume, name: str, settings: str, masks: dict, reason: str
) -> None:
    write_published(tmp_path / name, snapshot)
    if settings:
        (tmp_path / name / "head.toml").write_text(settings)
    given = answer(tmp_path / name, snapshot, features, masks)
    for finding in given.findings:
        assert (finding.probability, finding.present) == (None, None)
        assert reason in finding.not_evaluated
    assert len(given.findings) == 3


def test_a_regression_that_was_not_evaluated_is_told_among_the_findings(
    tmp_path: Path, snapshot: Snapshot, features: FeatureVolume
) -> None:
    write_published(tmp_path / "volume", snapshot, classes=1, regression=True)
    (tmp_path / "volume/head.toml").write_text("reads_mask = true")
    given = answer(tmp_path / "volume", snapshot, features)
    assert [(finding.name, finding.not_evaluated) for finding in given.findings] == [("volume", "needs a region")]
    assert given.measurements == ()


def test_a_head_of_another_encoder_is_refused(tmp_path: Path, snapshot: Snapshot, features: FeatureVolume) -> None:
    other = dict(snapshot.state_dict)
    other["blocks.1.norm2.weight"] = other["blocks.1.norm2.weight"] + 1e-6
    write_published(tmp_path / "other", Snapshot(snapshot.config, snapshot.input_settings, other, "0" * 64))
    with pytest.raises(ModelDigestError, match=r"head other: .* 'blocks\.1\.norm2\.weight'"):
        answer(tmp_path / "other", snapshot, features)


def test_a_head_without_a_copy_needs_the_site_to_name_its_encoder(
    tmp_path: Path, snapshot: Snapshot, features: FeatureVolume
) -> None:
    write_published(tmp_path / "ich", snapshot, copy=False)
    with pytest.raises(ModelDigestError, match="holds no copy of its encoder.*write encoder_sha256"):
        answer(tmp_path / "ich", snapshot, features)
    (tmp_path / "ich/head.toml").write_text(f'encoder_sha256 = "{"ab" * 32}"')
    with pytest.raises(ModelDigestError, match="trained on the encoder abababababab"):
        answer(tmp_path / "ich", snapshot, features)
    (tmp_path / "ich/head.toml").write_text(f'encoder_sha256 = "{snapshot.sha256}"')
    assert len(answer(tmp_path / "ich", snapshot, features).findings) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": 4}, r"classifier\.bias: config.json and encoder ask for shape \(4,\), the file has \(3,\)"),
        ({"model_type": "dinov2"}, "config.json: model_type"),
        ({"attention_cfg": {}, "num_slices": 3}, "attention_module.* is missing"),
        ({"num_slices": 3}, "a head for volumes needs attention_cfg or one of the averagings"),
        ({"attention_cfg": {}, "use_avgpool_on_the_volume": True}, "one vector leaves nothing to attend to"),
        ({"use_n_blocks": 3}, "use_n_blocks: the encoder has 2 at most, got 3"),
        ({"kernel_size": 5, "attention_cfg": {}}, "kernel_size: the encoder has 4 at most, got 5"),
        ({"regression": True}, "num_classes: expected 1 for a regression, got 3"),
    ],
)
def test_malformed_folders_are_told_apart(
    tmp_path: Path, snapshot: Snapshot, features: FeatureVolume, change: dict[str, Any], message: str
) -> None:
    write_published(tmp_path / "head", snapshot)
    path = tmp_path / "head/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=message):
        answer(tmp_path / "head", snapshot, features)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("labels.toml", LABELS_TOML.split("[[label]]")[1].join(["[[label]]", ""]), "a label for each of the head's 3"),
        ("head.toml", '[outputs.fracture]\nthreshold = 0.5\noperating_point = "x"', "outputs: 'fracture' is none of"),
        ("head.toml", '[outputs."class 1"]\nthreshold = 0.5', "a threshold needs the operating_point"),
        ("head.toml", 'reads_mask = false\nmask_segment = "liver"', "reads_mask = false takes none"),
        ("head.toml", "treshold = 1", "treshold"),
    ],
)
def test_a_wrong_label_map_is_refused(
    tmp_path: Path, snapshot: Snapshot, features: FeatureVolume, file: str, text: str, message: str
) -> None:
    write_published(tmp_path / "head", snapshot)
    (tmp_path / "head" / file).write_text(text)
    with pytest.raises(CheckpointError, match=message):
        answer(tmp_path / "head", snapshot, features)


@pytest.mark.parametrize("segment", ["lung", "spleen"])
def test_the_region_is_what_another_head_of_the_model_draws(
    tmp_path: Path, snapshot: Snapshot, features: FeatureVolume, segment: str
) -> None:
    """A head that draws lung everywhere makes the mean of all tokens the region's; nobody draws a spleen."""
    record = {
        "task": "segmentation",
        "kind": "linear",
        "inputs": ["tokens"],
        "subdivision": 1,
        "minimum_volume_ml": 0.0,
    }
    record |= {"encoder_sha256": snapshot.sha256, "modality": ["MR"]}
    lung = {"weight": np.zeros((1, WIDTH)), "bias": np.ones(1)}
    write_kind(tmp_path / "lung", record, ("lung",), lung, category=True)
    tensors = write_published(tmp_path / "nodule", snapshot)
    (tmp_path / "nodule/head.toml").write_text(f'mask_segment = "{segment}"')
    heads = Heads(tuple(read_head(HeadFolder(tmp_path / name, snapshot, "ab" * 32)) for name in ("lung", "nodule")))
    readout = predict_findings(SeriesFeatures(features, SOURCE, "MR", "1.5"), heads)
    if segment == "spleen":
        assert {finding.not_evaluated for finding in readout.findings} == {
            "needs a region: no segment 'spleen' was found in this series"
        }
        return
    rows = torch.from_numpy(np.array(features.tokens[:])).mean(dim=1)
    logits = rows @ tensors["classifier.weight"].T + tensors["classifier.bias"]
    expected = logits.softmax(dim=1).max(dim=0).values.tolist()
    assert probabilities(readout.findings) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("config", [{}, {"attention_cfg": {}, "num_slices": 3}], ids=["slice", "volume"])
def test_a_region_that_the_encoders_pixels_step_over_is_no_region(
    tmp_path: Path, snapshot: Snapshot, features: FeatureVolume, config: dict[str, Any]
) -> None:
    """Ten source pixels make one of the encoder's, which is interpolated between the fifth and the sixth of them."""
    write_published(tmp_path / "kits", snapshot, **config)
    (tmp_path / "kits/head.toml").write_text('mask_segment = "kidney"')
    fine = SOURCE.rescaled((SLICES, 640, 640))
    speck = np.zeros(fine.shape, bool)
    speck[3, 100, 200] = True
    head = read_head(HeadFolder(tmp_path / "kits", snapshot, "ab" * 32))
    (given,) = ask([head], SeriesFeatures(features, fine, "CT", "1.5", masks={"kidney": speck}))
    assert {finding.not_evaluated for finding in given.findings} == {
        "needs a region: the segment 'kidney' is too small for the encoder's pixels"
    }
