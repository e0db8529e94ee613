"""A head as Raidium publishes it: config.json and model.safetensors, read as they are."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from operators.domain.finding import Algorithm, Finding
from operators.domain.volume import Volume
from operators.encoder.key_names import to_our_names
from operators.encoder.pooling import tokens_under_mask, tokens_under_slice_masks
from operators.encoder.snapshot import Snapshot
from operators.encoder.vision_transformer import interpolate_positions
from operators.errors import CheckpointError, InputError, ModelDigestError
from operators.heads.attention import Attention, AttentionPool, Block
from operators.heads.calibration import exclusive_probabilities
from operators.heads.classes import check_outputs, class_findings, entry_name, unanswered
from operators.heads.contributions import Contributions, contributions_of
from operators.heads.head import (
    FeatureBlock,
    HeadAnswer,
    HeadFolder,
    Needs,
    Reading,
    SeriesFeatures,
    Settled,
)
from operators.heads.labels import Label, labels_or_numbers
from operators.heads.linear import WEIGHTS, Linear
from operators.heads.published_config import PublishedRecord, read_published_record
from operators.heads.published_reading import MOST_TOKENS, SliceLogits, VolumeLogits, chosen_slices
from operators.heads.shown import shown
from operators.heads.values import measurement_of, unanswered_value
from operators.imaging.encoder_input import orient_for_encoder

NEEDS_REGION = "needs a region"

Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class PublishedHead:
    """A head as Raidium publishes it.

    patch_size : pixels of the encoder's input along a token
    """

    record: PublishedRecord
    labels: tuple[Label, ...]
    classifier: Linear
    pool: AttentionPool | None
    patch_size: int
    width: int
    algorithm: Algorithm

    @property
    def needs(self) -> Needs:
        if self.record.input == "volume":
            return Needs(blocks=self.record.num_blocks, segment=self.record.mask_segment)
        return Needs(tokens=bool(self.record.reads_mask), segment=self.record.mask_segment)

    def begin(self, series: SeriesFeatures) -> Reading:
        covered, obstacle = self._covered(series)
        if obstacle:
            return Settled(HeadAnswer(findings=self.unanswered(series, obstacle)))
        classifier = self.classifier.on(series.device)
        on_device = None if covered is None else torch.from_numpy(covered).to(series.device)
        if self.record.input == "slice":
            return _Answering(self, series, SliceLogits(classifier, on_device))
        slices, rows, columns = series.features.geometry.shape
        chosen = chosen_slices(self.record.config.num_slices, slices, covered)
        num_tokens = self._num_tokens(chosen, covered, (rows, columns))
        if num_tokens > MOST_TOKENS:
            reason = f"{num_tokens} tokens to attend to, at most {MOST_TOKENS} are possible"
            return Settled(HeadAnswer(findings=self.unanswered(series, reason)))
        volume = VolumeLogits(
            record=self.record,
            classifier=classifier,
            pool=self.pool.on(series.device) if self.pool else None,
            slices=chosen,
            covered=on_device,
            grid=(rows, columns),
            width=self.width,
        )
        return _Answering(self, series, volume)

    def unanswered(self, series: SeriesFeatures, reason: str) -> tuple[Finding, ...]:
        if self.record.task == "classification":
            return unanswered(self.record, self.labels, series, reason)
        return unanswered_value(self.record, series, reason)

    def _num_tokens(self, slices: list[int], covered: NDArray[np.bool_] | None, grid: tuple[int, int]) -> int:
        """That attention would see of the patch tokens; 0 where they are averaged."""
        config = self.record.config
        if config.use_avgpool_per_slice or config.use_avgpool_on_the_volume:
            return 0
        if covered is not None:
            return int(covered[slices].sum())
        kernel = config.kernel_size or 1
        return len(slices) * (grid[0] // kernel) * (grid[1] // kernel)

    def _covered(self, series: SeriesFeatures) -> tuple[NDArray[np.bool_] | None, str | None]:
        """(S, N) tokens under the mask where the head reads one, or why there is none."""
        if self.record.reads_mask is None:
            return (
                None,
                f"{NEEDS_REGION} or none, config.json does not say; write reads_mask into a head.toml beside it",
            )
        if not self.record.reads_mask:
            return None, None
        if self.record.mask_segment is None:
            return None, NEEDS_REGION
        mask = series.masks.get(self.record.mask_segment)
        if mask is None or not mask.any():
            return None, f"{NEEDS_REGION}: no segment {self.record.mask_segment!r} was found in this series"
        if mask.shape != series.source.shape:
            raise ValueError(
                f"mask of {self.record.mask_segment!r}: expected the source's shape {series.source.shape}, "
                f"got {mask.shape}"
            )
        oriented = orient_for_encoder(Volume(mask, series.source)).array
        touch = tokens_under_slice_masks if self.record.input == "slice" else tokens_under_mask
        try:
            return touch(series.features, oriented, patch_size=self.patch_size), None
        except InputError:
            return (
                None,
                f"{NEEDS_REGION}: the segment {self.record.mask_segment!r} is too small for the encoder's pixels",
            )


@dataclass(frozen=True, slots=True, eq=False)
class _Answering:
    head: PublishedHead
    series: SeriesFeatures
    logits: SliceLogits | VolumeLogits

    def take(self, block: FeatureBlock) -> None:
        self.logits.take(block)

    def contributions(self, number: int, row: int) -> Contributions:
        """What each token contributes to the logit of class *number* in a row."""
        logit, slopes = self.logits.slopes(number, row)
        _, rows, columns = self.series.features.geometry.shape

        def multiplied(block: FeatureBlock) -> tuple[Tensor, Tensor]:
            cls, tokens = self._features(block)
            of_cls, of_tokens = cls.new_zeros(len(cls)), cls.new_zeros(len(cls), rows * columns)
            for place, (slope_of_cls, slope_of_tokens) in slopes.items():
                if block.place.start <= place < block.place.stop:
                    at = place - block.place.start
                    of_cls[at] = cls[at] @ slope_of_cls.to(cls.device)
                    if slope_of_tokens is not None and tokens is not None:
                        of_tokens[at] = (tokens[at] * slope_of_tokens.to(cls.device)).sum(dim=1)
            return of_cls, of_tokens

        found = contributions_of(self.series, self.head.needs, multiplied, rest=0.0)
        return replace(found, rest=logit - found.score)

    def _features(self, block: FeatureBlock) -> tuple[Tensor, Tensor | None]:
        """(n, F) of CLS and (n, N, F) of the tokens, as the head reads them."""
        if self.head.record.input == "slice":
            return block.cls, block.tokens
        assert block.states is not None, "the head needs them"
        states = block.states[..., : self.head.record.num_blocks * self.head.width]
        return states[:, 0], states[:, 1:]

    def answer(self) -> HeadAnswer:
        """Over several rows the largest probability of each class, or the mean; the row of the largest is its place."""
        record = self.head.record
        rows = self.logits.rows().cpu().numpy().astype(np.float64)
        if record.task == "regression":
            value = float((rows.max if record.aggregate == "max" else rows.mean)(axis=0)[0])
            return HeadAnswer(measurements=(measurement_of(record, self.series, value),))
        of_rows = exclusive_probabilities(rows, record.temperature)
        values = of_rows.max(axis=0) if record.aggregate == "max" else of_rows.mean(axis=0)
        labels = self.head.labels
        findings = class_findings(record, labels, values, self.series, only_likeliest=len(labels) > 1)
        deciding = of_rows.argmax(axis=0)
        answer = shown(
            record, labels, findings, self.series, lambda number: self.contributions(number, int(deciding[number]))
        )
        if isinstance(self.logits, VolumeLogits) and len(rows) == 1:
            return answer
        # A slice that decides is a place, whether there is an operating point or not.
        points = {
            entry_name(record, label): self.series.centre_of(self.logits.slices[int(deciding[number])])
            for number, (label, finding) in enumerate(zip(labels, findings, strict=True))
            if finding.present is not False
        }
        in_regions = {masks.finding for masks in answer.masks}
        points |= {name: point for name, point in answer.points.items() if name in in_regions}
        return replace(answer, points=points)


def read_head(folder: HeadFolder) -> PublishedHead:
    """Read config.json, the weights, and head.toml and labels.toml where they are there.

    Raises
    ------
    CheckpointError
        A file is malformed, a tensor is missing, unexpected or of another shape.
    ModelDigestError
        The head belongs to another encoder, or nothing says to which.
    """
    record, named = read_published_record(
        folder.path, encoder_sha256=folder.snapshot.sha256, weights_sha256=folder.sha256
    )
    encoder, own = _read_tensors(folder)
    if named:
        folder.check_encoder(named)
    if encoder:
        _check_encoder_copy(encoder, folder.snapshot, folder.path.name)
    elif not named:
        raise ModelDigestError(
            f"head {folder.path.name}: it holds no copy of its encoder (dino.*), and no head.toml beside it names one; "
            "write encoder_sha256 there if you know that it was trained on this encoder"
        )
    if record.task == "regression" and record.config.num_classes != 1:
        raise CheckpointError(
            f"{folder.path.name}/config.json: num_classes: expected 1 for a regression, got {record.config.num_classes}"
        )
    _check_against_encoder(record, folder.snapshot)
    labels = labels_or_numbers(folder.path, record.config.num_classes)
    check_outputs(record, labels)
    width = _features_width(record, folder.width)
    shapes = _shapes(record, width)
    _check_shapes(own, shapes, folder.path.name)
    return PublishedHead(
        record=record,
        labels=labels,
        classifier=Linear(own["classifier.weight"].numpy(), own["classifier.bias"].numpy()),
        pool=_pool(record, own),
        patch_size=folder.snapshot.config.patch_size,
        width=folder.width,
        algorithm=folder.algorithm(record),
    )


def _read_tensors(folder: HeadFolder) -> tuple[Tensors, Tensors]:
    """The copy of the encoder, in our names, and the head's own tensors, float32."""
    path = folder.path / WEIGHTS
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{folder.path.name}/{WEIGHTS}: not readable as safetensors ({error})") from error
    copy = to_our_names({name: tensor for name, tensor in tensors.items() if name.startswith("dino.")})
    return copy, {name: tensor.float() for name, tensor in tensors.items() if not name.startswith("dino.")}


def _check_encoder_copy(copy: Tensors, snapshot: Snapshot, name: str) -> None:
    """Raises ModelDigestError at the first tensor in which the head's encoder differs from ours."""
    copy = {key: tensor.float() for key, tensor in copy.items()}
    if "pos_embed" in copy:
        copy["pos_embed"] = interpolate_positions(copy["pos_embed"], snapshot.config.grid_size)
    for key in sorted(copy.keys() | snapshot.state_dict.keys()):
        ours, theirs = snapshot.state_dict.get(key), copy.get(key)
        if ours is None or theirs is None or not torch.equal(ours, theirs):
            raise ModelDigestError(
                f"head {name}: it was trained on another encoder: the tensor {key!r} of its copy differs from that of "
                f"{snapshot.sha256[:12]}; heads do not carry over to other features"
            )


def _check_against_encoder(record: PublishedRecord, snapshot: Snapshot) -> None:
    """Raises CheckpointError where the head reads more than the encoder has."""
    for key, asked, most in (
        ("use_n_blocks", record.config.use_n_blocks or 1, snapshot.config.num_hidden_layers),
        ("kernel_size", record.config.kernel_size or 1, snapshot.config.grid_size),
    ):
        if asked > most:
            raise CheckpointError(f"{record.name}/config.json: {key}: the encoder has {most} at most, got {asked}")


def _features_width(record: PublishedRecord, width: int) -> int:
    """Of what the classifier reads."""
    config = record.config
    if record.input == "slice":
        return width
    averages = config.use_avgpool_per_slice or config.use_avgpool_on_the_volume
    return record.num_blocks * width * (2 if averages and config.use_class_token else 1)


def _shapes(record: PublishedRecord, width: int) -> Mapping[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "classifier.weight": (record.config.num_classes, width),
        "classifier.bias": (record.config.num_classes,),
    }
    attention = record.config.attention_cfg if record.input == "volume" else None
    if attention is None:
        return shapes
    if width % attention.num_heads:
        raise CheckpointError(
            f"{record.name}/config.json: {width} features do not divide by {attention.num_heads} heads"
        )
    for block in sorted(set(attention.block)):
        prefix = f"attention_module.{block}_attention"
        shapes |= {
            f"{prefix}.attention.multihead_attn.in_proj_weight": (3 * width, width),
            f"{prefix}.attention.multihead_attn.in_proj_bias": (3 * width,),
            f"{prefix}.attention.multihead_attn.out_proj.weight": (width, width),
            f"{prefix}.attention.multihead_attn.out_proj.bias": (width,),
            f"{prefix}.attention.norm.weight": (width,),
            f"{prefix}.attention.norm.bias": (width,),
        }
        if block == "cross":
            shapes[f"{prefix}.learned_queries"] = (attention.num_queries, width)
    return shapes


def _check_shapes(tensors: Tensors, shapes: Mapping[str, tuple[int, ...]], name: str) -> None:
    for key in sorted(shapes.keys() | tensors.keys()):
        if key not in tensors:
            raise CheckpointError(f"{name}/{WEIGHTS}: the tensor {key!r} of shape {shapes[key]} is missing")
        if key not in shapes:
            raise CheckpointError(f"{name}/{WEIGHTS}: the tensor {key!r} has no place in the head of config.json")
        if tuple(tensors[key].shape) != shapes[key]:
            raise CheckpointError(
                f"{name}/{WEIGHTS}: {key}: config.json and encoder ask for shape {shapes[key]}, "
                f"the file has {tuple(tensors[key].shape)}"
            )
        if not bool(torch.isfinite(tensors[key]).all()):
            raise CheckpointError(f"{name}/{WEIGHTS}: {key}: expected finite values, some are not; get the file again")


def _pool(record: PublishedRecord, tensors: Tensors) -> AttentionPool | None:
    attention = record.config.attention_cfg if record.input == "volume" else None
    if attention is None:
        return None

    def block(name: Block) -> Attention:
        prefix = f"attention_module.{name}_attention.attention"
        return Attention(
            attention.num_heads,
            tensors[f"{prefix}.multihead_attn.in_proj_weight"],
            tensors[f"{prefix}.multihead_attn.in_proj_bias"],
            tensors[f"{prefix}.multihead_attn.out_proj.weight"],
            tensors[f"{prefix}.multihead_attn.out_proj.bias"],
            tensors[f"{prefix}.norm.weight"],
            tensors[f"{prefix}.norm.bias"],
        )

    queries = tensors.get("attention_module.cross_attention.learned_queries", torch.empty(0))
    return AttentionPool(attention.block, {name: block(name) for name in set(attention.block)}, queries)
