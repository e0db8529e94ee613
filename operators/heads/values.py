"""Heads whose output is a number: its name, its unit, and the entry that it makes in ``measurements[]``."""

from operators.domain.concepts import NO_UNITS, Code
from operators.domain.finding import Finding
from operators.domain.measurement import Measurement
from operators.heads.head import HeadRecord, SeriesFeatures, finding_of
from operators.heads.labels import Label, own_code


class ValueRecord(HeadRecord):
    """Common to heads whose output is a number.

    quantity : what is measured, say "age at scan"; empty for the head's name
    code : its concept; made from the head's name where there is none
    unit : a UCUM code
    """

    quantity: str = ""
    code: Code | None = None
    unit: Code = NO_UNITS


def measurement_of(
    record: ValueRecord, series: SeriesFeatures, value: float, *, suffix: str = "", unit: Code | None = None
) -> Measurement:
    """One entry of ``measurements[]``, of the whole series.

    suffix : tells several values of one head apart
    """
    name = f"{record.quantity or record.name}{suffix}"
    code = record.code if record.code and not suffix else own_code(f"{record.name}/{name}", name)
    return Measurement(
        name=name,
        code=code,
        value=value,
        unit=unit or record.unit,
        series_instance_uid=series.series_instance_uid,
        segment_number=None,
        tracking_uid=None,
        head=record.name,
    )


def unanswered_value(record: ValueRecord, series: SeriesFeatures, reason: str) -> tuple[Finding, ...]:
    """Among the findings, because a measurement without a value has no place: what was asked, and why nothing came."""
    name = record.quantity or record.name
    label = Label(name=name, code=record.code or own_code(f"{record.name}/{name}", name))
    return (finding_of(label, record, series, reason=reason),)
