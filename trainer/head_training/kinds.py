"""Which kind of head is trained how: the one table of (task, kind)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from operators.documents import first_problem
from operators.domain.concepts import TARGET_REGION
from operators.domain.volume import Volume
from operators.heads.body_region import BodyRegionRecord
from operators.heads.dense import DecoderRecord
from operators.heads.finding import DecodedFindingRecord, FindingRecord, LinearFindingRecord
from operators.heads.head import HeadRecord
from operators.heads.instance_attention import InstanceAttentionRecord
from operators.heads.labels import Label, own_code
from operators.heads.multi_label import MultiLabelRecord
from operators.heads.ordinal import OrdinalRecord
from operators.heads.organs import SegmentationRecord
from operators.heads.pooled import Inputs
from operators.heads.prototypes import PrototypesRecord
from operators.heads.regression import RegressionRecord
from operators.heads.survival import SurvivalRecord
from trainer.head_training.bag_heads import BagHead
from trainer.head_training.drawn_heads import DrawnFindingHead, DrawnHead
from trainer.head_training.errors import HeadTrainingError
from trainer.head_training.examples import Example
from trainer.head_training.families import Family
from trainer.head_training.label_maps import read_label_map
from trainer.head_training.outliners import CellOutliner, DecoderOutliner, LabelledStudies, Outliner, TokenOutliner
from trainer.head_training.settings import TrainingSettings
from trainer.head_training.slice_heads import SliceClassesHead
from trainer.head_training.table import Table
from trainer.head_training.targets import (
    class_targets,
    classes_of,
    label_targets,
    number_targets,
    survival_targets,
    told_label_targets,
)
from trainer.head_training.trainable import Trainable
from trainer.head_training.vector_heads import AffineHead, CoxHead, PrototypesHead, RegressionHead
from trainer.heads import objectives
from trainer.heads.affine import Examples
from trainer.heads.class_weights import class_weights, label_weights
from trainer.heads.pixel_decoder import DecoderFit

Floats = NDArray[np.float64]

DEFAULT_INPUTS: Inputs = ("cls", "mean-token")


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A head that is to be trained, with what is true of each row.

    label_map : of a row, for heads that draw; None of one that shows nothing
    labels : of its outputs; empty for a number
    targets : (n, T), see `trainer.heads.objectives`
    """

    settings: TrainingSettings
    family: Family
    labels: tuple[Label, ...]
    targets: Floats
    label_map: Callable[[int], Volume | None] | None = None

    @property
    def names(self) -> list[str]:
        """Names of the labels."""
        return [label.name for label in self.labels]

    @property
    def inputs(self) -> Inputs:
        """What the head reads of a slice."""
        given = tuple(name for name in self.settings.head.get("inputs", ()) if name != "tokens")
        return given or DEFAULT_INPUTS

    @property
    def weights(self) -> Floats:
        """(n, T) how heavy each target is."""
        how = self.settings.fit.class_weights
        if self.family == "labels":
            return label_weights(self.targets, self.names, how)
        if self.family in ("classes", "grades", "regions"):
            return class_weights(self.targets, self.names, how)
        return np.ones_like(self.targets)


@dataclass(frozen=True, slots=True)
class Kind:
    """How heads of a kind are fitted.

    record : of its head.toml
    family : of its answers, by the settings
    build : what is cross-validated
    penalties : that are tried where the settings name none
    reads_tokens : one by one, so that they have to be kept
    reads_images : beside them
    shows_regions : of a present finding
    """

    record: type[HeadRecord]
    family: Callable[[TrainingSettings], Family]
    build: Callable[[Problem, Sequence[Example]], Trainable]
    penalties: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0)
    reads_tokens: Callable[[TrainingSettings], bool] = lambda settings: False
    reads_images: bool = False
    shows_regions: Callable[[TrainingSettings], bool] = lambda settings: False

    def completed(self, settings: TrainingSettings) -> TrainingSettings:
        """The settings with what the kind leaves to be tried.

        Raises
        ------
        HeadTrainingError
            They ask for what the kind does not do.
        """
        if self.reads_images and settings.fit.patience:
            raise HeadTrainingError("fit.patience: a decoder takes all its steps; leave it out, or set decoder.steps")
        if self.family(settings) == "finding":
            if settings.calibration not in ("platt", "none"):
                raise HeadTrainingError(
                    f'calibration: a finding\'s is a logistic curve; expected "platt" or "none", '
                    f"got {settings.calibration!r}"
                )
            if settings.operating_point.rule == "none":
                raise HeadTrainingError("operating_point.rule: a finding has one; name how its threshold is chosen")
        penalties = settings.fit.penalties or self.penalties
        return settings.model_copy(update={"fit": settings.fit.model_copy(update={"penalties": penalties})})


def kind_of(settings: TrainingSettings) -> Kind:
    """Raises HeadTrainingError for a kind that is not trained by this command."""
    found = KINDS.get(settings.kind)
    if found is None:
        known = ", ".join(f"{task}/{kind}" for task, kind in KINDS)
        raise HeadTrainingError(f"head: task and kind: expected one of {known}, got {'/'.join(settings.kind)}")
    return found


def head_record(settings: TrainingSettings, encoder_sha256: str, filled: Mapping[str, object]) -> HeadRecord:
    """head.toml of the settings, with what the training fills in.

    Raises
    ------
    HeadTrainingError
        A key is wrong.
    """
    kind = kind_of(settings).record
    known: dict[str, object] = {"version": "1", "modality": ["CT"], "encoder_sha256": encoder_sha256}
    if "inputs" in kind.model_fields:
        known["inputs"] = ("tokens",) if settings.head["task"] in ("segmentation", "finding") else DEFAULT_INPUTS
    if kind is BodyRegionRecord:
        known["code"] = TARGET_REGION
    if issubclass(kind, FindingRecord):
        # What the training fills in later is known to be there when the other keys are looked at.
        known |= {"calibration": {"slope": 1.0, "intercept": 0.0}, "threshold": 0.5, "mask_threshold": 0.0}
    try:
        return kind.model_validate(known | dict(filled) | settings.head)
    except ValidationError as error:
        raise HeadTrainingError(f"head: {first_problem(error)}") from error


def pose(settings: TrainingSettings, table: Table) -> Problem:
    """What is asked, and what the table says is true.

    Raises
    ------
    HeadTrainingError
        A cell is not what the kind expects, or targets and labels do not fit one another.
    """
    family, targets = kind_of(settings).family(settings), settings.columns.targets
    expected = {"labels": None, "survival": 2, "masks": 0}.get(family, 1)
    if (expected is None and not targets) or (expected is not None and len(targets) != expected):
        words = {"labels": "a column for each finding", "survival": "the columns of time and event", "masks": "none"}
        raise HeadTrainingError(f"columns.targets: expected {words.get(family, 'one column')}, got {len(targets)}")
    if family == "labels":
        return Problem(settings, family, _labels(settings, targets), label_targets(table, targets))
    if family in ("classes", "grades", "regions"):
        if family == "grades" and not (settings.classes or settings.label):
            raise HeadTrainingError("classes: expected the grades from the lowest to the highest, got none")
        classes = tuple(label.name for label in settings.label) or settings.classes or classes_of(table, targets[0])
        return Problem(settings, family, _labels(settings, classes), class_targets(table, targets[0], classes))
    if family in ("masks", "finding"):
        if not settings.label or any(label.category is None for label in settings.label):
            raise HeadTrainingError("label: expected one with a category for each number of the label maps")
        if family == "finding" and len(settings.label) != 1:
            raise HeadTrainingError(f"label: expected one for a finding, got {len(settings.label)}")
        nothing = np.zeros((len(table.rows), 1))
        true = nothing if family == "masks" else told_label_targets(table, targets)
        return Problem(settings, family, settings.label, true, lambda row: read_label_map(table.rows[row]))
    if family == "survival":
        return Problem(settings, family, (), survival_targets(table, *targets))
    return Problem(settings, family, (), number_targets(table, targets[0]))


def _labels(settings: TrainingSettings, names: Sequence[str]) -> tuple[Label, ...]:
    if settings.label:
        if len(settings.label) != len(names):
            raise HeadTrainingError(
                f"label: expected one for each of {len(names)} outputs ({', '.join(names)}), got {len(settings.label)}"
            )
        return settings.label
    return tuple(Label(name=name, code=own_code(f"{settings.head['name']}/{name}", name)) for name in names)


def _vectors(problem: Problem, examples: Sequence[Example]) -> Examples:
    features = np.stack([example.vector(problem.inputs) for example in examples])
    return Examples(features, problem.targets, problem.weights)


def _multi_label(problem: Problem, examples: Sequence[Example]) -> Trainable:
    shown = _vectors(problem, examples)
    return AffineHead(shown, objectives.each_label, len(problem.labels), problem.settings.fit)


def _linear(problem: Problem, examples: Sequence[Example]) -> Trainable:
    shown = _vectors(problem, examples)
    return AffineHead(shown, objectives.one_class, len(problem.labels), problem.settings.fit)


def _ordinal(problem: Problem, examples: Sequence[Example]) -> Trainable:
    shown, steps = _vectors(problem, examples), len(problem.labels) - 1
    return AffineHead(shown, objectives.grades, steps, problem.settings.fit, bias="ordered")


def _regression(problem: Problem, examples: Sequence[Example]) -> Trainable:
    return RegressionHead(AffineHead(_vectors(problem, examples), objectives.squared_error, 1, problem.settings.fit))


def _cox(problem: Problem, examples: Sequence[Example]) -> Trainable:
    if problem.settings.fit.optimiser != "lbfgs":
        raise HeadTrainingError(
            'fit.optimiser: survival compares all patients with one another and takes "lbfgs" alone'
        )
    shown = _vectors(problem, examples)
    return CoxHead(AffineHead(shown, objectives.partial_likelihood, 1, problem.settings.fit, bias="none"))


def _prototypes(problem: Problem, examples: Sequence[Example]) -> Trainable:
    shown, scale = _vectors(problem, examples), float(problem.settings.head.get("scale", 10.0))
    return PrototypesHead(shown.features, problem.targets[:, 0].astype(np.int64), len(problem.labels), scale)


def _bag(problem: Problem, examples: Sequence[Example]) -> Trainable:
    settings, taken = problem.settings, tuple(problem.settings.head.get("instances", ()))
    return BagHead(
        lambda row: examples[row].instances(taken),
        problem.targets,
        problem.weights,
        objectives.one_class if problem.family == "classes" else objectives.each_label,
        len(problem.labels),
        settings.fit.hidden,
        settings.fit,
    )


def _labelled(problem: Problem, examples: Sequence[Example]) -> LabelledStudies:
    assert problem.label_map is not None, "a head that draws is posed with them"
    return LabelledStudies(examples, problem.label_map)


def _decoder(problem: Problem, studies: LabelledStudies) -> Outliner:
    settings = problem.settings.decoder
    fit = DecoderFit(
        kind=problem.settings.head["kind"],
        levels=int(problem.settings.head["levels"]),
        hidden=settings.hidden,
        steps=settings.steps,
        batch_size=settings.batch_size,
        lr=settings.learning_rate,
        dropout=settings.dropout,
    )
    return DecoderOutliner(studies, len(problem.labels), fit)


def _drawn_by_cells(problem: Problem, examples: Sequence[Example]) -> Trainable:
    studies, count = _labelled(problem, examples), len(problem.labels)
    return DrawnHead(studies, CellOutliner(studies, count, int(problem.settings.head["subdivision"])), count)


def _drawn_by_decoder(problem: Problem, examples: Sequence[Example]) -> Trainable:
    studies = _labelled(problem, examples)
    return DrawnHead(studies, _decoder(problem, studies), len(problem.labels))


def _finding_by_tokens(problem: Problem, examples: Sequence[Example]) -> Trainable:
    studies = _labelled(problem, examples)
    outliner = TokenOutliner(studies, problem.settings.fit)
    return DrawnFindingHead(studies, outliner, int(problem.settings.head["top_tokens"]))


def _finding_by_decoder(problem: Problem, examples: Sequence[Example]) -> Trainable:
    studies, head = _labelled(problem, examples), problem.settings.head
    cells = 4 ** int(head["levels"])
    return DrawnFindingHead(studies, _decoder(problem, studies), int(head["top_tokens"]) * cells)


def _body_region(problem: Problem, examples: Sequence[Example]) -> Trainable:
    return SliceClassesHead(
        lambda row: examples[row].slices(problem.inputs),
        problem.targets,
        problem.weights,
        len(problem.labels),
        problem.settings.fit,
    )


def _takes_tokens(settings: TrainingSettings) -> bool:
    return "tokens" in settings.head.get("instances", ())


def _reads_mean_token(settings: TrainingSettings) -> bool:
    return "mean-token" in settings.head.get("inputs", DEFAULT_INPUTS)


_by_decoder = partial(Kind, penalties=(0.01,), reads_tokens=lambda settings: True, reads_images=True)
_DRAWN = _by_decoder(DecoderRecord, lambda settings: "masks", _drawn_by_decoder)
_FOUND = _by_decoder(
    DecodedFindingRecord, lambda settings: "finding", _finding_by_decoder, shows_regions=lambda settings: True
)

KINDS: Mapping[tuple[str, str], Kind] = {
    ("classification", "linear"): Kind(
        MultiLabelRecord, lambda settings: "classes", _linear, shows_regions=_reads_mean_token
    ),
    ("classification", "multi-label"): Kind(
        MultiLabelRecord, lambda settings: "labels", _multi_label, shows_regions=_reads_mean_token
    ),
    ("classification", "ordinal"): Kind(
        OrdinalRecord, lambda settings: "grades", _ordinal, shows_regions=_reads_mean_token
    ),
    ("classification", "instance-attention"): Kind(
        InstanceAttentionRecord,
        lambda settings: "classes" if settings.head.get("exclusive") else "labels",
        _bag,
        reads_tokens=_takes_tokens,
        shows_regions=_takes_tokens,
    ),
    ("classification", "prototypes"): Kind(
        PrototypesRecord, lambda settings: "classes", _prototypes, shows_regions=_reads_mean_token
    ),
    ("regression", "linear"): Kind(RegressionRecord, lambda settings: "value", _regression),
    ("segmentation", "linear"): Kind(
        SegmentationRecord, lambda settings: "masks", _drawn_by_cells, reads_tokens=lambda settings: True
    ),
    ("segmentation", "decoder"): _DRAWN,
    ("segmentation", "unet"): _DRAWN,
    ("finding", "linear"): Kind(
        LinearFindingRecord,
        lambda settings: "finding",
        _finding_by_tokens,
        reads_tokens=lambda settings: True,
        shows_regions=lambda settings: True,
    ),
    ("finding", "decoder"): _FOUND,
    ("finding", "unet"): _FOUND,
    ("body-region", "linear"): Kind(BodyRegionRecord, lambda settings: "regions", _body_region),
    ("survival", "cox"): Kind(SurvivalRecord, lambda settings: "survival", _cox),
}
