"""Which kind of head is trained how: the one table of (task, kind)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from operators.documents import first_problem
from operators.domain.volume import Volume
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
from trainer.head_training.dense_heads import DenseHead
from trainer.head_training.errors import HeadTrainingError
from trainer.head_training.examples import Example
from trainer.head_training.families import Family
from trainer.head_training.label_maps import read_label_map
from trainer.head_training.settings import TrainingSettings
from trainer.head_training.table import Table
from trainer.head_training.targets import (
    class_targets,
    classes_of,
    label_targets,
    number_targets,
    survival_targets,
)
from trainer.head_training.trainable import Trainable
from trainer.head_training.vector_heads import AffineHead, CoxHead, PrototypesHead, RegressionHead
from trainer.heads import objectives
from trainer.heads.affine import Examples
from trainer.heads.class_weights import class_weights, label_weights

Floats = NDArray[np.float64]

DEFAULT_INPUTS: Inputs = ("cls", "mean-token")


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A head that is to be trained, with what is true of each row.

    label_map : of a row, for heads that draw
    labels : of its outputs; empty for a number
    targets : (n, T), see `trainer.heads.objectives`
    """

    settings: TrainingSettings
    family: Family
    labels: tuple[Label, ...]
    targets: Floats
    label_map: Callable[[int], Volume] | None = None

    @property
    def names(self) -> list[str]:
        """Of the labels."""
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
        if self.family in ("classes", "grades"):
            return class_weights(self.targets, self.names, how)
        return np.ones_like(self.targets)


@dataclass(frozen=True, slots=True)
class Kind:
    """How heads of a kind are fitted.

    record : of its head.toml
    family : of its answers, by the settings
    build : what is cross-validated
    reads_tokens : one by one, so that they have to be kept
    shows_regions : of a present finding
    """

    record: type[HeadRecord]
    family: Callable[[TrainingSettings], Family]
    build: Callable[[Problem, Sequence[Example]], Trainable]
    reads_tokens: Callable[[TrainingSettings], bool] = lambda settings: False
    shows_regions: Callable[[TrainingSettings], bool] = lambda settings: False


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
        known["inputs"] = ("tokens",) if settings.head["task"] == "segmentation" else DEFAULT_INPUTS
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
    if family in ("classes", "grades"):
        if family == "grades" and not (settings.classes or settings.label):
            raise HeadTrainingError("classes: expected the grades from the lowest to the highest, got none")
        classes = tuple(label.name for label in settings.label) or settings.classes or classes_of(table, targets[0])
        return Problem(settings, family, _labels(settings, classes), class_targets(table, targets[0], classes))
    if family == "masks":
        if not settings.label or any(label.category is None for label in settings.label):
            raise HeadTrainingError("label: expected one with a category for each number of the label maps")
        nothing = np.zeros((len(table.rows), 1))
        return Problem(settings, family, settings.label, nothing, lambda row: read_label_map(table.rows[row]))
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


def _dense(problem: Problem, examples: Sequence[Example]) -> Trainable:
    assert problem.label_map is not None, "a head that draws is posed with them"
    subdivision = int(problem.settings.head["subdivision"])
    return DenseHead(lambda row: examples[row].features, problem.label_map, len(problem.labels), subdivision)


def _takes_tokens(settings: TrainingSettings) -> bool:
    return "tokens" in settings.head.get("instances", ())


def _reads_mean_token(settings: TrainingSettings) -> bool:
    return "mean-token" in settings.head.get("inputs", DEFAULT_INPUTS)


KINDS: Mapping[tuple[str, str], Kind] = {
    ("classification", "linear"): Kind(
        MultiLabelRecord, lambda settings: "classes", _linear, shows_regions=_reads_mean_token
    ),
    ("classification", "multi-label"): Kind(
        MultiLabelRecord, lambda settings: "labels", _multi_label, shows_regions=_reads_mean_token
    ),
    ("classification", "ordinal"): Kind(OrdinalRecord, lambda settings: "grades", _ordinal),
    ("classification", "instance-attention"): Kind(
        InstanceAttentionRecord,
        lambda settings: "classes" if settings.head.get("exclusive") else "labels",
        _bag,
        reads_tokens=_takes_tokens,
        shows_regions=_takes_tokens,
    ),
    ("classification", "prototypes"): Kind(PrototypesRecord, lambda settings: "classes", _prototypes),
    ("regression", "linear"): Kind(RegressionRecord, lambda settings: "value", _regression),
    ("segmentation", "linear"): Kind(
        SegmentationRecord, lambda settings: "masks", _dense, reads_tokens=lambda settings: True
    ),
    ("survival", "cox"): Kind(SurvivalRecord, lambda settings: "survival", _cox),
}
