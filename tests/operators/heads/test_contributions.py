"""What tokens contribute adds up to the score, is what the formula says, and becomes regions on the source's grid."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from head_cases import GRID, SLICES, SOURCE, WIDTH, random_features, read_kind, series_of, write_kind
from operators.domain.concepts import MASS
from operators.domain.features import EncoderInput, EncoderInputSettings, FeatureVolume
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.heads.attention import Attention, AttentionPool
from operators.heads.contributions import gradient
from operators.heads.faithfulness import deletion, without_pixels, without_tokens
from operators.heads.head import FeatureBlock, Head, SeriesFeatures, ask, joined
from operators.heads.labels import Label
from operators.heads.linear import Linear
from operators.heads.masks import ContributionMasks, share_threshold
from operators.heads.multi_label import MultiLabelHead
from operators.heads.ordinal import OrdinalHead
from operators.heads.prototypes import PrototypesHead
from operators.heads.published_config import PublishedConfig
from operators.heads.published_reading import VolumeLogits
from operators.heads.segments import localise, predict_segments

RNG = np.random.default_rng(11)
NAMES = ("nodule", "effusion")
PRESENT = {name: {"threshold": 0.0, "operating_point": "always, for this test"} for name in NAMES}


def read_through(head: Head, series: SeriesFeatures) -> Any:
    reading = head.begin(series)
    with torch.no_grad():
        for block in series.blocks(joined([head])):
            reading.take(block)
    return reading


def multi_label(folder: Path, **tensors: np.ndarray) -> MultiLabelHead:
    weights = {"weight": RNG.normal(size=(2, 2 * WIDTH)), "bias": RNG.normal(size=2)} | tensors
    record = {"task": "classification", "kind": "multi-label", "inputs": ["cls", "mean-token"], "outputs": PRESENT}
    head = read_kind(write_kind(folder, record, NAMES, weights))
    assert isinstance(head, MultiLabelHead)
    return head


def test_of_a_linear_head_each_token_gives_its_part_of_the_mean(tmp_path: Path) -> None:
    weight = RNG.normal(size=(2, 2 * WIDTH))
    head, features = multi_label(tmp_path, weight=weight, bias=np.array([0.5, -0.5])), random_features()
    series = series_of(features)
    found = head.contributions(series, 1)
    per_token = (features.tokens @ weight[1, WIDTH:].astype(np.float32)) / (SLICES * 16)
    np.testing.assert_allclose(found.tokens.array, per_token.reshape(SLICES, 4, 4), atol=1e-6)
    np.testing.assert_allclose(found.cls, features.cls @ weight[1, :WIDTH] / SLICES, atol=1e-6)
    assert found.rest == -0.5
    (answer,) = ask([head], series)
    assert expit(found.score) == pytest.approx(answer.findings[1].probability, abs=1e-5)


@pytest.mark.parametrize("above", [5.0, -5.0])
def test_of_a_grade_each_token_gives_its_part_of_reaching_it_and_the_lowest_lies_nowhere(
    tmp_path: Path, above: float
) -> None:
    weight, bias, grades = RNG.normal(size=(1, 2 * WIDTH)), np.array([above, above - 20]), ("none", "mild", "severe")
    outputs = {name: {"threshold": 0.0, "operating_point": "always, for this test"} for name in grades}
    record = {"task": "classification", "kind": "ordinal", "inputs": ["cls", "mean-token"], "outputs": outputs}
    head = read_kind(write_kind(tmp_path, record, grades, {"weight": weight, "bias": bias}))
    assert isinstance(head, OrdinalHead)
    series = series_of(random_features())
    (answer,) = ask([head], series)
    assert [finding.present for finding in answer.findings] == [above < 0, above > 0, False]
    if above < 0:
        assert (answer.masks, answer.points) == ((), {})
        return
    found = head.contributions(series, 0)
    assert expit(found.score) == pytest.approx(1 - (answer.findings[0].probability or 0), abs=1e-5)
    (masks,) = answer.masks
    assert isinstance(masks, ContributionMasks)
    np.testing.assert_array_equal(masks.contributions.array, found.tokens.array)
    assert masks.finding == answer.findings[1].name


def test_of_a_prototype_each_token_gives_its_part_of_the_cosine(tmp_path: Path) -> None:
    examples = RNG.normal(size=(2, 2 * WIDTH))
    record = {"task": "classification", "kind": "prototypes", "inputs": ["cls", "mean-token"], "scale": 4.0}
    tensors = {"examples": examples, "classes": np.array([0.0, 1.0])}
    head = read_kind(write_kind(tmp_path, record | {"outputs": PRESENT}, NAMES, tensors))
    assert isinstance(head, PrototypesHead)
    series = series_of(random_features())
    (answer,) = ask([head], series)
    vector = np.concatenate([series.features.cls.mean(axis=0), series.features.tokens.mean(axis=(0, 1))])
    unit = examples / np.linalg.norm(examples, axis=1, keepdims=True)
    cosines = unit @ vector / np.linalg.norm(vector)
    found = [head.contributions(series, torch.from_numpy(vector), number).score for number in range(2)]
    assert found == pytest.approx(list(4.0 * cosines), abs=1e-5)
    present = answer.findings[int(cosines.argmax())]
    assert [masks.finding for masks in answer.masks] == [present.name]


@pytest.mark.parametrize("instances", [["tokens"], ["cls"], ["cls", "tokens"]])
def test_of_a_bag_each_instance_gives_its_attention_times_its_score(tmp_path: Path, instances: list[str]) -> None:
    shapes = {"classifier": (2, WIDTH), "tanh": (5, WIDTH), "sigmoid": (5, WIDTH), "score": (1, 5)}
    tensors = {f"{name}.weight": RNG.normal(size=shape) for name, shape in shapes.items()}
    tensors |= {f"{name}.bias": RNG.normal(size=shape[0]) for name, shape in shapes.items()}
    record = {"task": "classification", "kind": "instance-attention", "instances": instances}
    head, features = read_kind(write_kind(tmp_path, record, NAMES, tensors)), random_features()
    series = series_of(features)
    found = read_through(head, series).contributions(0)
    (answer,) = ask([head], series)
    assert expit(found.score) == pytest.approx(answer.findings[0].probability, abs=1e-5)
    bag = np.concatenate(
        [{"cls": features.cls, "tokens": features.tokens.reshape(-1, WIDTH)}[name] for name in instances]
    )
    gate = np.tanh(bag @ tensors["tanh.weight"].T + tensors["tanh.bias"])
    gate = gate * expit(bag @ tensors["sigmoid.weight"].T + tensors["sigmoid.bias"])
    parts = softmax(gate @ tensors["score.weight"][0]) * (bag @ tensors["classifier.weight"][0])
    if "tokens" in instances:
        np.testing.assert_allclose(found.tokens.array.ravel(), parts[-SLICES * 16 :], atol=1e-5)
    if "cls" in instances:
        np.testing.assert_allclose(found.cls, parts[:SLICES], atol=1e-5)


def attention(width: int, heads: int) -> Attention:
    shapes = ((3 * width, width), (3 * width,), (width, width), (width,), (width,), (width,))
    return Attention(heads, *(torch.from_numpy(RNG.normal(size=shape).astype(np.float32)) for shape in shapes))


@pytest.mark.parametrize("order", [("cross",), ("self", "cross"), ("self",)])
def test_frozen_attention_is_affine_and_touches_the_true_one_at_its_tokens(order: tuple) -> None:
    pool = AttentionPool(
        order, {name: attention(8, 2) for name in order}, torch.from_numpy(RNG.normal(size=(3, 8)).astype(np.float32))
    )
    tokens = torch.from_numpy(RNG.normal(size=(12, 8)).astype(np.float32))
    torch.testing.assert_close(pool(tokens, frozen=True), pool(tokens))
    # The derivative of an affine function is the same everywhere; here along a direction that leaves weights alone.
    leaf = tokens.clone().requires_grad_()
    (slope,) = torch.autograd.grad(pool(leaf, frozen=True)[0], leaf)
    assert torch.isfinite(slope).all()


def test_of_one_query_the_contributions_are_those_of_the_formula() -> None:
    """LN(q + W_o sum_t a_t (W_v x_t + b_v) + b_o): with a and the deviation fixed, each token's part is plain."""
    block, width = attention(8, 1), 8
    query = torch.from_numpy(RNG.normal(size=(1, width)).astype(np.float32))
    tokens, direction = torch.from_numpy(RNG.normal(size=(9, width)).astype(np.float32)), torch.arange(8.0)
    pool = AttentionPool(("cross",), {"cross": block}, query)
    leaf = tokens.clone().requires_grad_()
    (slope,) = torch.autograd.grad(pool(leaf, frozen=True) @ direction, leaf)
    given = (tokens * slope).sum(dim=1)
    w_q, w_k, w_v = block.in_weight.split(width)
    b_q, b_k, _ = block.in_bias.split(width)
    scores = ((query @ w_q.T + b_q) @ (tokens @ w_k.T + b_k).T / width**0.5)[0]
    weights = scores.softmax(dim=0)
    _, _, b_v = block.in_bias.split(width)
    attended = query + (weights @ (tokens @ w_v.T + b_v)) @ block.out_weight.T + block.out_bias
    deviation = (attended.var(unbiased=False) + 1e-5).sqrt()
    parts = (weights[:, None] * (tokens @ w_v.T)) @ block.out_weight.T
    centred = parts - parts.mean(dim=1, keepdim=True)
    torch.testing.assert_close(given, (centred / deviation * block.norm_weight) @ direction, atol=1e-5, rtol=1e-5)
    # What no token brings is the same formula without the tokens; together they are the score.
    alone = query[0] + block.out_weight @ b_v + block.out_bias
    rest = ((alone - alone.mean()) / deviation * block.norm_weight + block.norm_bias) @ direction
    assert float(given.sum() + rest) == pytest.approx(float(pool(tokens) @ direction), rel=1e-5)


CONFIGS = {
    "attention": {"attention_cfg": {"num_heads": 2, "num_queries": 2}},
    "class tokens": {"attention_cfg": {}, "use_class_token": True, "num_slices": 3},
    "pools": {"attention_cfg": {"block": ["cross"]}, "kernel_size": 2, "use_n_blocks": 2},
    "pools that leave a strip": {"attention_cfg": {"block": ["cross"]}, "kernel_size": 3},
    "means of slices": {"attention_cfg": {}, "use_avgpool_per_slice": True, "use_class_token": True},
    "slices each by itself": {"use_avgpool_per_slice": True, "use_class_token": True},
    "mean of the volume": {"use_avgpool_on_the_volume": True, "use_class_token": True},
}


@pytest.mark.parametrize("with_mask", [False, True], ids=["no mask", "mask"])
@pytest.mark.parametrize("name", CONFIGS)
def test_contributions_to_a_published_head_add_up_to_its_logit(name: str, with_mask: bool) -> None:
    """The states' own products with the slopes, and what no token brings: bias, queries and the places of slices."""
    config = PublishedConfig(model_type="dinov2_custom_classifier", **CONFIGS[name])
    blocks = 1 if with_mask else config.use_n_blocks or 1
    averages = config.use_avgpool_per_slice or config.use_avgpool_on_the_volume
    width = blocks * WIDTH * (2 if averages and config.use_class_token else 1)
    order = config.attention_cfg.block if config.attention_cfg else ()
    heads = config.attention_cfg.num_heads if config.attention_cfg else 1
    queries = torch.from_numpy(RNG.normal(size=(2, width)).astype(np.float32))
    pool = AttentionPool(order, {block: attention(width, heads) for block in set(order)}, queries) if order else None
    states = torch.from_numpy(RNG.normal(size=(4, 17, blocks * WIDTH)).astype(np.float32))
    covered = torch.from_numpy(RNG.random((4, 16)) < 0.4) if with_mask else None

    class Record:
        """As far as the reading asks."""

        num_blocks = blocks

    Record.config = config  # type: ignore[attr-defined]
    classifier = Linear(torch.from_numpy(RNG.normal(size=(2, width)).astype(np.float32)), torch.zeros(2))
    logits = VolumeLogits(Record, classifier, pool, [0, 1, 2, 3], covered, (4, 4), WIDTH)  # type: ignore[arg-type]
    logits.take(FeatureBlock(slice(0, 4), torch.zeros(4, WIDTH), None, states))
    row = len(logits.rows()) - 1
    logit, slopes = logits.slopes(1, row)
    assert logit == pytest.approx(float(logits.rows()[row, 1]), abs=1e-4)
    # Nudged by a small step along the slopes' own direction while attention is frozen, the score moves by as much.
    gathered, step = logits.gathered(), 1e-2
    moved_states = states.clone()
    direction = torch.from_numpy(RNG.normal(size=states.shape).astype(np.float32))
    moved_states += step * direction
    moved = VolumeLogits(Record, classifier, pool, [0, 1, 2, 3], covered, (4, 4), WIDTH)  # type: ignore[arg-type]
    moved.take(FeatureBlock(slice(0, 4), torch.zeros(4, WIDTH), None, moved_states))
    _, slope = gradient(lambda x: logits._logits(x, frozen=True)[row, 1], gathered)
    expected = float(((moved.gathered() - gathered) * slope).sum())
    products = sum(
        float((direction[k, 0] * of_cls).sum() + (direction[k, 1:] * of_tokens).sum())
        for k, (of_cls, of_tokens) in slopes.items()
    )
    assert step * products == pytest.approx(expected, abs=1e-4, rel=1e-3)


def hot_features(block: float = 1.0) -> FeatureVolume:
    """Zeros but for two blobs in the first feature: a large one in slices 4 to 7, a small one in slice 15."""
    tokens = np.zeros((SLICES, 4, 4, WIDTH), np.float32)
    tokens[4:8, 1:3, 1:3, 0] = block
    tokens[15, 0, 3, 0] = block
    return FeatureVolume(np.zeros((SLICES, WIDTH), np.float32), tokens.reshape(SLICES, 16, WIDTH), GRID)


def hot_head(folder: Path) -> Head:
    weight = np.zeros((2, 2 * WIDTH))
    weight[0, WIDTH], weight[1, WIDTH] = 200.0, -200.0
    return multi_label(folder, weight=weight, bias=np.zeros(2))


def tracking_uid(head: str, label: str) -> str:
    return f"uid of {head}/{label}"


def test_each_region_of_a_present_finding_is_a_segment_the_strongest_first(tmp_path: Path) -> None:
    head = hot_head(tmp_path)
    head = replace(head, record=head.record.model_copy(update={"region_share": 1.0, "minimum_volume_ml": 0.0}))
    (answer,) = ask([head], series_of(hot_features()))
    segments = predict_segments(answer.masks, source=SOURCE, series_instance_uid="1.5", tracking_uid=tracking_uid)
    assert [(segment.number, segment.label, segment.finding) for segment in segments.segments] == [
        (1, "nodule", "lung: nodule"),
        (2, "nodule 2", "lung: nodule"),
    ]
    large, small = (segment.mask for segment in segments.segments)
    assert large[4:8, 20:44, 20:44].all()
    assert not large[:4].any()
    assert not large[8:].any()
    assert small[15, 0:16, 48:64].mean() > 0.5
    assert small.sum() == small[15].sum()
    first, second = localise(
        answer.findings,
        segments,
        tuple(f"1.9.{k}" for k in range(SLICES)),
        points=answer.points,
        tracking_uid=tracking_uid,
    )
    assert first.localisation is not None
    assert first.localisation.segment_number == 1
    assert first.localisation.tracking_uid == "uid of lung/nodule"
    assert first.localisation.sop_instance_uid in {f"1.9.{k}" for k in range(4, 8)}
    # Every token speaks against the other finding, which the site calls present all the same: the slice that speaks
    # against it least is its place.
    assert second.localisation is not None
    assert second.localisation.segment_number is None


def test_where_every_region_is_too_small_the_strongest_token_is_the_place(tmp_path: Path) -> None:
    head = hot_head(tmp_path)
    head = replace(head, record=head.record.model_copy(update={"minimum_volume_ml": 1000.0}))
    features = hot_features()
    features.tokens[15, 3, 0] = 2.0
    (answer,) = ask([head], series_of(features))
    segments = predict_segments(answer.masks, source=SOURCE, series_instance_uid="1.5", tracking_uid=tracking_uid)
    assert segments.segments == ()
    uids = tuple(f"1.9.{k}" for k in range(SLICES))
    nodule, _ = localise(answer.findings, segments, uids, points=answer.points, tracking_uid=tracking_uid)
    assert nodule.localisation is not None
    assert nodule.localisation.sop_instance_uid == "1.9.15"
    assert nodule.localisation.point_lps_mm == pytest.approx(GRID.positions(np.array([15, 0, 3])))
    assert (nodule.localisation.segment_number, nodule.localisation.volume_ml) == (None, None)


def test_half_of_what_speaks_for_a_finding_makes_its_region() -> None:
    values = np.array([[4.0, 3.0], [2.0, 1.0]])
    assert share_threshold(values, 0.4) == pytest.approx(3.5)
    assert share_threshold(values, 0.5) == pytest.approx(2.5)
    assert share_threshold(values, 1.0) == pytest.approx(0.5)
    assert share_threshold(-values, 0.5) == np.inf


def test_small_regions_are_dropped_by_their_volume() -> None:
    evidence = Volume(hot_features().tokens[:, :, 0].reshape(SLICES, 4, 4), GRID)
    masks = ContributionMasks("head", "finding", Label(name="mass", code=MASS), evidence, 1.0, 2.0)
    regions = list(masks.regions(SOURCE, with_probabilities=True))
    assert len(regions) == 1
    assert regions[0].probability is not None
    assert regions[0].probability[5, 32, 32] == 255


def test_removing_the_region_lowers_the_score_more_than_removing_others(tmp_path: Path) -> None:
    features = hot_features()
    noise = np.random.default_rng(0).normal(scale=0.01, size=features.tokens.shape).astype(np.float32)
    features = FeatureVolume(features.cls, features.tokens + noise, GRID)
    region = np.zeros((SLICES, 4, 4), bool)
    region[4:8, 1:3, 1:3] = True
    found = deletion(hot_head(tmp_path), series_of(features), "lung: nodule", region, tries=12, seed=0)
    # 16 of 320 tokens, worth 200 / 320 each, but for what the mean of the others puts there.
    assert found.region_drop == pytest.approx(16 * 200 / 320, rel=0.1)
    assert found.share_beaten == 1.0
    assert len(found.random_drops) == 12
    elsewhere = deletion(
        hot_head(tmp_path), series_of(features), "lung: nodule", np.roll(region, 9, axis=0), tries=12, seed=0
    )
    assert elsewhere.share_beaten < 0.9


def test_removed_pixels_are_those_of_the_removed_tokens_in_every_block() -> None:
    geometry = Geometry(np.eye(4), (5, 8, 8))
    pixels = np.random.default_rng(0).normal(size=(5, 1, 8, 8)).astype(np.float32)

    def blocks(start: int, size: int) -> Iterator[np.ndarray]:
        return (pixels[place : place + size] for place in range(start, 5, size))

    images = EncoderInput(Volume(pixels[:, 0], geometry), EncoderInputSettings(8), geometry, blocks)
    removed = np.zeros((5, 4, 4), bool)
    removed[3, 1, 2] = True
    expected = pixels[1:].copy()
    expected[2, 0, 2:4, 4:6] = 0
    np.testing.assert_array_equal(np.concatenate(list(without_pixels(images, removed).blocks(1, 2))), expected)


def test_removed_tokens_get_the_mean_of_the_others_and_cls_stays() -> None:
    features = random_features(slices=2)
    states = np.random.default_rng(1).normal(size=(2, 17, WIDTH)).astype(np.float32)
    removed = np.zeros((2, 4, 4), bool)
    removed[1, 2, 3] = True
    changed = without_tokens(replace(features, states=states), removed)
    kept = np.ones((2, 16), bool)
    kept[1, 11] = False
    np.testing.assert_allclose(changed.tokens[1, 11], features.tokens[kept].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(changed.tokens[kept], features.tokens[kept])
    np.testing.assert_allclose(changed.states[1, 12], states[:, 1:][kept].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(changed.states[:, 0], states[:, 0])
    with pytest.raises(ValueError, match="expected some of the tokens"):
        deletion(None, series_of(features), "x", np.zeros((2, 4, 4), bool), tries=1, seed=0)  # type: ignore[arg-type]
