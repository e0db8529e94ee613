"""A number that was measured, with its unit."""

from dataclasses import dataclass

from operators.domain.concepts import NO_UNITS, Code


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number with its unit (UCUM): of a segment, of a series or of a whole study.

    head : that gave it; None for what is measured on a segment's mask
    segment_number, tracking_uid : of the segment that was measured; None for a value of a series or study
    prior_value : the same on the registered prior, in the same unit; None where there is none
    prior_date_days : how many days before this study the prior was taken
    change_percent : (value - prior_value) / prior_value * 100; None also where the prior value is 0
    """

    name: str
    code: Code
    value: float
    unit: Code
    series_instance_uid: str
    segment_number: int | None
    tracking_uid: str | None
    prior_value: float | None = None
    prior_date_days: int | None = None
    change_percent: float | None = None
    head: str | None = None

    @property
    def amount(self) -> str:
        """The number with its unit, for people."""
        return self._amount(self.value)

    @property
    def since_prior(self) -> str:
        """What the same was on the prior, in words; empty where there is none."""
        if self.prior_value is None:
            return ""
        before = "on the prior" if self.prior_date_days is None else f"{self.prior_date_days} days before"
        change = "" if self.change_percent is None else f", a change of {self.change_percent:+.1f} %"
        return f"{self._amount(self.prior_value)} {before}{change}"

    def _amount(self, value: float) -> str:
        return f"{value:.4g}" if self.unit == NO_UNITS else f"{value:.4g} {self.unit.value}"
