"""What becomes of the fits: calibration, figures, scope, card and picture, written as a head's folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.documents import file_sha256
from operators.heads.calibration import Output, Platt
from operators.heads.distance import FeatureFit
from operators.heads.head import HeadRecord
from operators.heads.regression import RegressionRecord
from operators.heads.survival import SurvivalRecord
from operators.model.model_folder import Model
from trainer.evaluation.survival_groups import observed_in_groups
from trainer.export.model_card import CARD
from trainer.export.model_folder import write_head
from trainer.head_training.calibration import (
    CalibratedOutputs,
    calibrate,
    finding_curve,
    plain_probabilities,
    presence,
)
from trainer.head_training.card import Card
from trainer.head_training.cross_validation import Validated
from trainer.head_training.deletion import DeletionResult, measure_deletion
from trainer.head_training.drawn_heads import OVERLAPS
from trainer.head_training.examples import Example
from trainer.head_training.figures import Figures, output_figures, overall_figures, record_of
from trainer.head_training.head_folder import PICTURE, write_feature_fit
from trainer.head_training.kinds import Problem, head_record, kind_of
from trainer.head_training.reliability import draw_overlaps, draw_probabilities, draw_survival, draw_values
from trainer.head_training.studies import holds_tokens
from trainer.head_training.table import Table
from trainer.head_training.trainable import Rows, Scores, Trainable
from trainer.heads.baseline_hazard import baseline_at
from trainer.heads.feature_fit import fit_features, held_out_distances

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TrainedHead:
    """The fits of a table's examples.

    fitted, test : rows that were fitted on, and those that were only asked about
    tried : rows of which the regions are deleted
    """

    problem: Problem
    model: Model
    table: Table
    examples: Sequence[Example]
    trainable: Trainable
    validated: Validated
    fitted: Rows
    test: Rows
    tried: frozenset[int]

    def write(self, folder: Path) -> None:
        """head.toml, labels.toml, the tensors, the scope's, card.md and reliability.png."""
        outputs = self._calibrated()
        rows = self.test if len(self.test) else self.validated.rows
        answers = self._answers(outputs, rows)
        overall, by_output = self._figures(outputs, rows, answers)
        fit, distance = self._scope()
        filled: dict[str, object] = {
            "data": self._data(),
            "measured": {"protocol": self._protocol()} | record_of(overall),
        }
        if distance:
            filled["distance"] = distance
        if self.problem.family == "finding" and outputs is not None:
            filled |= {
                "calibration": {"slope": self._curve.slope, "intercept": self._curve.intercept},
                "threshold": outputs.outputs[0].threshold,
                "mask_threshold": 0.0,
            }
        elif outputs is not None:
            told = zip(self.problem.names, outputs.outputs, strict=True)
            filled |= {"temperature": outputs.temperature, "outputs": dict(told)}
        record = head_record(self.problem.settings, self.model.snapshot.sha256, filled)
        write_head(record, self.problem.labels, self.validated.tensors, folder)
        if fit is not None:
            write_feature_fit(fit, folder)
        card = Card(
            record=record,
            protocol=self._protocol(),
            counts=tuple(self._counts()),
            overall=overall,
            by_output=by_output,
            outputs=self._told_outputs(outputs) if outputs else {},
            faithfulness=self._faithfulness(folder),
            settings=self._fit_settings(),
        )
        (folder / CARD).write_text(card.text(), encoding="utf-8")
        self._draw(record, answers, rows, folder / PICTURE)

    def _calibrated(self) -> CalibratedOutputs | None:
        problem, validated = self.problem, self.validated
        if problem.family not in ("labels", "classes", "grades", "finding"):
            return None
        is_finding = problem.family == "finding"
        return calibrate(
            self._logits(validated.scores),
            presence(problem.targets[validated.rows], problem.family, len(problem.labels)),
            family="labels" if is_finding else problem.family,
            method="none" if is_finding else problem.settings.calibration,
            rule=problem.settings.operating_point,
            names=problem.names,
            source=f"{validated.num_folds} folds of {self._num_patients(self.fitted)} patients",
        )

    @property
    def _curve(self) -> Platt:
        """From a finding's scores to its log odds."""
        rows, scores = self.validated.rows, self.validated.scores[:, OVERLAPS]
        return finding_curve(scores, self.problem.targets[rows, 0] == 1, self.problem.settings.calibration)

    def _logits(self, scores: Scores) -> Floats:
        """(n, C) of the outputs; a finding's overlaps left out and its curve applied."""
        if self.problem.family != "finding":
            return scores
        return np.asarray(self._curve.slope * scores[:, OVERLAPS:] + self._curve.intercept, np.float64)

    def _told_outputs(self, outputs: CalibratedOutputs) -> dict[str, Output]:
        told = outputs.outputs
        if self.problem.family == "finding" and self.problem.settings.calibration != "none":
            told = tuple(output.model_copy(update={"calibration": self._curve}) for output in told)
        return dict(zip(self.problem.names, told, strict=True))

    def _answers(self, outputs: CalibratedOutputs | None, rows: Rows) -> Floats:
        scores = self._scores(rows)
        return scores if outputs is None else outputs.probabilities(self._logits(scores))

    def _scores(self, rows: Rows) -> Floats:
        """Of the test part by the shipped fit; else by the fits that did not see each."""
        return self.trainable.scores(self.validated.tensors, rows) if len(self.test) else self.validated.scores

    def _figures(
        self, outputs: CalibratedOutputs | None, rows: Rows, answers: Floats
    ) -> tuple[Figures, Mapping[str, Figures]]:
        problem, patients = self.problem, np.array(self.table.patients)[rows]
        targets, seed = problem.targets[rows], problem.settings.seed
        if outputs is None:
            return overall_figures(problem.family, answers, targets, patients, seed=seed), {}
        # Calibration may make equal what a head tells apart.
        scores = self._scores(rows)
        ranked = plain_probabilities(self._logits(scores), outputs.family, outputs.temperature)
        overall = overall_figures(outputs.family, ranked, targets, patients, seed=seed)
        if problem.family == "finding":
            overall |= overall_figures("masks", scores[:, :OVERLAPS], targets, patients, seed=seed)
        return overall, output_figures(outputs, answers, ranked, targets, patients, problem.names, seed=seed)

    def _scope(self) -> tuple[FeatureFit | None, dict[str, object] | None]:
        settings = self.problem.settings
        # What part of the body a series shows is asked of every series.
        if settings.distance is None or len(self.fitted) < 3 or self.problem.family == "regions":
            return None, None
        inputs = self.problem.inputs
        vectors = np.stack([example.vector(inputs) for example in self.examples])
        distances = held_out_distances(vectors, self.validated.folds, rank=settings.distance.rank)
        fit = fit_features(vectors[self.fitted], rank=settings.distance.rank)
        limit = float(np.percentile(distances, settings.distance.percentile))
        return fit, {"inputs": inputs, "limit": limit, "percentile": settings.distance.percentile}

    def _faithfulness(self, folder: Path) -> tuple[DeletionResult, ...]:
        settings = self.problem.settings
        return measure_deletion(
            folder,
            self.model.snapshot,
            [self.examples[row] for row in sorted(self.tried)],
            tries=settings.faithfulness.tries,
            seed=settings.seed,
        )

    def _draw(self, record: HeadRecord, answers: Floats, rows: Rows, path: Path) -> None:
        problem, targets = self.problem, self.problem.targets[rows]
        if problem.family == "masks":
            draw_overlaps(answers[:, 0], path)
            return
        if isinstance(record, RegressionRecord):
            draw_values(answers[:, 0], targets[:, 0], record.unit.value, path)
        elif isinstance(record, SurvivalRecord):
            tensors = self.validated.tensors
            day = record.horizons_days[0] if record.horizons_days else float(np.median(tensors["baseline_days"]))
            hazard = baseline_at(tensors["baseline_days"], tensors["baseline_hazard"], day)
            told = np.exp(-hazard * np.exp(answers[:, 0]))
            groups = observed_in_groups(told, targets[:, 0], targets[:, 1] == 1, day=day)
            draw_survival(*groups, path, days=day)
        else:
            draw_probabilities(answers, presence(targets, problem.family, len(problem.labels)), problem.names, path)

    def _num_patients(self, rows: Rows) -> int:
        return len({self.table.rows[row].patient for row in rows})

    def _protocol(self) -> str:
        if len(self.test):
            return (
                f"On {self._num_patients(self.test)} patients of the test part; nothing was fitted or chosen on them."
            )
        return (
            f"Of {self._num_patients(self.fitted)} patients in {self.validated.num_folds} folds, each asked about by a "
            "fit on the others."
        )

    def _data(self) -> str:
        given = self.problem.settings.head.get("data")
        digest = file_sha256(self.table.path)[:12]
        patients = self._num_patients(np.concatenate([self.fitted, self.test]))
        return str(given or f"{len(self.table.rows)} studies of {patients} patients, table {digest}")

    def _counts(self) -> Sequence[str]:
        counts = [f"fitted on: {len(self.fitted)} studies of {self._num_patients(self.fitted)} patients"]
        if len(self.test):
            counts.append(f"test part: {len(self.test)} studies of {self._num_patients(self.test)} patients")
        if self.problem.labels and self.problem.family != "masks":
            present = presence(self.problem.targets, self.problem.family, len(self.problem.labels))
            for name, column in zip(self.problem.names, present.T, strict=True):
                counts.append(f"{name}: {int((column == 1).sum())} with, {int((column == 0).sum())} without")
        if self.problem.family == "survival":
            counts.append(f"events: {int(self.problem.targets[:, 1].sum())}")
        counts.append(f"table: SHA-256 {file_sha256(self.table.path)}")
        return counts

    def _fit_settings(self) -> Mapping[str, object]:
        settings = self.problem.settings
        penalties = ", ".join(f"{penalty:g}" for penalty in self.validated.penalties)
        fit, decoder = settings.fit, settings.decoder
        optimiser = f"{fit.optimiser}, at most {fit.epochs} epochs, patience {fit.patience}"
        if kind_of(settings).reads_images:
            optimiser = f"adamw, {decoder.steps} steps of {decoder.batch_size} slices, {decoder.hidden} channels"
        return {
            "optimiser": optimiser,
            "class weights": fit.class_weights,
            "penalties of the folds and of the shipped fit": penalties,
            "seed": settings.seed,
        }


def tried_for_deletion(problem: Problem, table: Table) -> frozenset[int]:
    """The rows of which regions will be deleted: some that show something, of the test part where there is one."""
    if not kind_of(problem.settings).shows_regions(problem.settings):
        return frozenset()
    present = presence(problem.targets, problem.family, len(problem.labels))
    rows = [number for number, row in enumerate(table.rows) if (present[number] == 1).any() and holds_tokens(row.study)]
    rows.sort(key=lambda number: (table.rows[number].part != "test", number))
    return frozenset(rows[: problem.settings.faithfulness.studies])
