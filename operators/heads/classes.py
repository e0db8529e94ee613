"""Heads whose outputs are classes: names, probabilities and operating points of their findings.

Each class is an entry of ``findings[]`` named ``<head>: <label>``. Without an operating point nothing is present.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from operators.domain.finding import Finding
from operators.errors import CheckpointError
from operators.heads.calibration import Output, calibrated, exclusive_probabilities
from operators.heads.head import HeadRecord, SeriesFeatures, finding_of
from operators.heads.labels import Label
from operators.heads.records import Record

NO_OPERATING_POINT = "no operating point"


class ClassSettings(Record):
    """What a site may set of any head whose outputs are classes.

    temperature : every score is divided by it
    outputs : by label, where it is called present and how it is calibrated
    region_share : a present finding's mask holds the tokens that together make so much of what speaks for it
    minimum_volume_ml : smaller regions of that mask are dropped
    """

    temperature: float = Field(1.0, gt=0)
    outputs: dict[str, Output] = Field(default_factory=dict)
    region_share: float = Field(0.5, gt=0, le=1)
    minimum_volume_ml: float = Field(0.5, ge=0)


class ClassRecord(HeadRecord, ClassSettings):
    """Common to heads whose outputs are classes."""


def check_outputs(record: ClassRecord, labels: Sequence[Label]) -> None:
    """Raises CheckpointError where head.toml speaks of an output that labels.toml does not name."""
    names = [label.name for label in labels]
    for name in record.outputs:
        if name not in names:
            raise CheckpointError(
                f"{record.name}/head.toml: outputs: {name!r} is none of the labels ({', '.join(names[:8])}"
                f"{', ...' if len(names) > 8 else ''})"
            )


def exclusive_findings(
    record: ClassRecord, labels: Sequence[Label], logits: NDArray[np.floating], series: SeriesFeatures
) -> tuple[Finding, ...]:
    """Findings of classes that exclude one another: at most the likeliest is present. One output alone is a yes or no.

    logits : (C,)
    """
    probabilities = exclusive_probabilities(logits, record.temperature)
    return class_findings(record, labels, probabilities, series, only_likeliest=len(labels) > 1)


def independent_findings(
    record: ClassRecord, labels: Sequence[Label], logits: NDArray[np.floating], series: SeriesFeatures
) -> tuple[Finding, ...]:
    """Findings that may be there together.

    logits : (C,)
    """
    probabilities = np.concatenate([exclusive_probabilities(logit, record.temperature) for logit in logits[:, None]])
    return class_findings(record, labels, probabilities, series, only_likeliest=False)


def class_findings(
    record: ClassRecord,
    labels: Sequence[Label],
    probabilities: NDArray[np.floating],
    series: SeriesFeatures,
    *,
    only_likeliest: bool,
) -> tuple[Finding, ...]:
    """Entries of ``findings[]`` from probabilities that the outputs' own calibrations have not seen yet.

    probabilities : (C,)
    """
    outputs = [record.outputs.get(label.name, Output()) for label in labels]
    values = [calibrated(float(value), output) for value, output in zip(probabilities, outputs, strict=True)]
    likeliest = int(np.argmax(values))

    def entries() -> Iterator[Finding]:
        for number, (label, value, output) in enumerate(zip(labels, values, outputs, strict=True)):
            can_tell = output.threshold is not None
            present = can_tell and value >= (output.threshold or 0.0) and (not only_likeliest or number == likeliest)
            yield finding_of(
                label,
                record,
                series,
                name=entry_name(record, label),
                probability=value,
                threshold=output.threshold,
                present=present if can_tell else None,
                reason=None if can_tell else NO_OPERATING_POINT,
            )

    return tuple(entries())


def unanswered(
    record: ClassRecord, labels: Sequence[Label], series: SeriesFeatures, reason: str
) -> tuple[Finding, ...]:
    """The same entries of a head that was not asked, or could not answer."""
    return tuple(
        finding_of(
            label,
            record,
            series,
            name=entry_name(record, label),
            threshold=record.outputs.get(label.name, Output()).threshold,
            reason=reason,
        )
        for label in labels
    )


def entry_name(record: HeadRecord, label: Label) -> str:
    """What a class is called in ``findings[]``."""
    return f"{record.name}: {label.name}"
