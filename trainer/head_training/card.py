"""``card.md``: what a head was fitted on, how good it is on others, what it is called present from, and its limits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from operators.heads.calibration import Output
from operators.heads.head import HeadRecord
from trainer.evaluation.figures import Figure
from trainer.head_training.deletion import DeletionResult


@dataclass(frozen=True, slots=True)
class Card:
    """What is told.

    protocol : on whom the figures are
    overall : figures by metric; by_output : by label, then by metric
    counts : of rows and patients, in words
    outputs : by label
    faithfulness : of the regions that it shows
    settings : of the fit, by name
    """

    record: HeadRecord
    protocol: str
    counts: Sequence[str]
    overall: Mapping[str, Figure]
    by_output: Mapping[str, Mapping[str, Figure]]
    outputs: Mapping[str, Output]
    faithfulness: Sequence[DeletionResult]
    settings: Mapping[str, object]

    def text(self) -> str:
        """The card as Markdown."""
        return "\n".join(line for part in self._parts() for line in (*part, "")).rstrip() + "\n"

    def _parts(self) -> Iterable[Sequence[str]]:
        record = self.record
        yield (f"# {record.name} {record.version}",)
        yield (
            f"{record.task}, {record.kind}. **Research use only**: no medical device, no diagnosis; its answers say "
            "nothing about a patient until somebody qualified has judged them.",
        )
        yield ("## Data", "", record.data, "", *(f"- {line}" for line in self.counts))
        yield (
            "## Figures",
            "",
            f"{self.protocol} 95 % intervals by bootstrap over patients. `reliability.png` shows how far the "
            "probabilities can be taken at their word.",
            "",
            *_table(("figure", "value", "95 % interval", "patients"), _figure_rows(self.overall)),
        )
        if self.by_output:
            rows = ((label, *cells) for label, figures in self.by_output.items() for cells in _figure_rows(figures))
            yield _table(("output", "figure", "value", "95 % interval", "patients"), rows)
        if self.outputs:
            yield (
                "## Operating points",
                "",
                *_table(
                    ("output", "called present from", "chosen for", "calibration"),
                    (
                        (
                            label,
                            "never: no operating point" if out.threshold is None else f"{out.threshold:.3f}",
                            out.operating_point or "-",
                            out.calibration.method if out.calibration else "none",
                        )
                        for label, out in self.outputs.items()
                    ),
                ),
                "",
                "Calibration and thresholds were chosen on the same held-out answers that cross-validation gave; where "
                "there is no test part, Brier score, sensitivity and specificity are flattered by it.",
            )
        yield ("## Faithfulness of the regions", "", *self._faithfulness_lines())
        yield ("## Limits", "", *(f"- {line}" for line in self._limits()))
        yield ("## Fit", "", *(f"- {name}: {value}" for name, value in self.settings.items()))

    def _faithfulness_lines(self) -> Sequence[str]:
        if not self.faithfulness:
            return (
                "Not measured: no contributions of tokens make the head's regions, or it called nothing present in the "
                "studies that were tried.",
            )
        rows = (
            (found.finding, str(found.studies), f"{found.region_drop:.2f}", f"{found.share_beaten:.0%}")
            for found in self.faithfulness
        )
        return (
            "The region's tokens are replaced by the mean of the others; beside it the same region at other places.",
            "",
            *_table(("finding", "studies", "log odds fall by", "more than elsewhere in"), rows),
        )

    def _limits(self) -> Iterable[str]:
        record = self.record
        yield f"modality: {', '.join(record.modality)}"
        if record.body_region:
            yield f"body region: {', '.join(record.body_region)}"
        if record.slices:
            yield f"slices: {record.slices[0]} to {record.slices[1]}"
        if record.distance:
            yield (
                f"features no further from the training set's than {record.distance.limit:.2f}, within which "
                f"{record.distance.percentile:g} % of it lie; others are not judged"
            )
        yield f"features of the encoder {record.encoder_sha256[:12]} alone"


def _figure_rows(figures: Mapping[str, Figure]) -> Iterable[tuple[str, ...]]:
    for name, figure in figures.items():
        yield name, f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}", str(figure.patients)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
