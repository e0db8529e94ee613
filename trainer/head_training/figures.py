"""The figures of a head on patients that it was not fitted on, each with its interval by bootstrap over patients."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.figures import Figure
from trainer.evaluation.operating import area, brier, figure_over_patients, sensitivity, specificity
from trainer.evaluation.predictions import METRICS, Predictions, figure_of, resampled_metric
from trainer.head_training.calibration import CalibratedOutputs, presence
from trainer.head_training.families import Family

Floats = NDArray[np.float64]
Figures = Mapping[str, Figure]

_METRICS: Mapping[Family, tuple[str, ...]] = {
    "labels": ("mean-auc",),
    "classes": ("macro-auc", "balanced-accuracy"),
    "grades": ("macro-auc", "balanced-accuracy"),
    "value": ("mae", "rmse", "r2"),
    "survival": ("c-index",),
    "masks": ("dice", "hd95", "surface-distance"),
    "regions": ("macro-auc", "balanced-accuracy"),
}


def overall_figures(
    family: Family, answers: Floats, targets: Floats, patients: NDArray[np.str_], *, seed: int
) -> dict[str, Figure]:
    """Figures of the whole head, by metric.

    answers : (n, C) probabilities, or (n, 1) values or risks; targets : (n, T)
    """
    found = {}
    for column, name in enumerate(_METRICS[family]):
        # An overlap is told of those alone who show something.
        rows = np.isfinite(answers[:, column]) if family == "masks" else np.ones(len(answers), bool)
        true = targets[rows] if family == "labels" else targets[rows, 0]
        events = targets[rows, 1] == 1 if family == "survival" else None
        predictions = Predictions(patients[rows], true, answers[None, rows], events)
        resampled = resampled_metric(METRICS[name], predictions, seed=seed) if rows.any() else np.array([np.nan])
        if np.isfinite(resampled[0]):
            found[name] = figure_of(resampled, predictions.num_patients)
    return found


def output_figures(
    outputs: CalibratedOutputs,
    probabilities: Floats,
    ranked: Floats,
    targets: Floats,
    patients: NDArray[np.str_],
    names: list[str],
    *,
    seed: int,
) -> dict[str, dict[str, Figure]]:
    """Figures by label, then by metric.

    ranked : (n, C) the head's probabilities before calibration, whose order is told
    """
    present, called = presence(targets, outputs.family, len(names)), outputs.called(probabilities)
    found: dict[str, dict[str, Figure]] = {}
    for number, name in enumerate(names):
        asked = (
            ("auc", area, ranked),
            ("sensitivity", sensitivity, called),
            ("specificity", specificity, called),
            ("brier", brier, probabilities),
        )
        found[name] = {}
        for metric_name, metric, said in asked:
            figure = figure_over_patients(metric, said[:, number], present[:, number], patients, seed=seed)
            if figure is not None:
                found[name][metric_name] = figure
    return found


def record_of(figures: Figures) -> dict[str, float | int | str]:
    """The figures as head.toml's table ``measured`` has them."""
    record: dict[str, float | int | str] = {}
    for name, figure in figures.items():
        record |= figure.record(name.replace("-", "_"))
    return record
