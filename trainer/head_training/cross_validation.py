"""Asking a head about patients that it was not fitted on, and fitting the one that is shipped.

Each fit is kept on disk as soon as it is done, so that a run that was killed goes on after its last one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from operators.documents import whole_file
from trainer.evaluation.folds import stratified_folds
from trainer.head_training.errors import HeadTrainingError
from trainer.head_training.families import Family
from trainer.head_training.settings import TrainingSettings
from trainer.head_training.trainable import Fitted, Rows, Scores, Tensors, Trainable

INNER_FOLDS = 5
"""Into how many parts the fitted patients are dealt; one decides penalty and length of a fit, where there is
something to decide."""


@dataclass(frozen=True, slots=True, eq=False)
class Patients:
    """Whose the rows are.

    names : (n,) whose each row is
    strata : (n,) what is to be shared out evenly among folds
    """

    names: tuple[str, ...]
    strata: tuple[str, ...]

    def rows_of(self, chosen: frozenset[str]) -> Rows:
        return np.array([row for row, name in enumerate(self.names) if name in chosen], np.int64)

    def folds(self, rows: Rows, most: int) -> tuple[Rows, ...]:
        """*rows* in at most so many parts by patient, each part in their order."""
        strata = {self.names[row]: max(self.strata[other] for other in rows if self.names[other] == self.names[row])
                  for row in rows}  # fmt: skip
        parts = stratified_folds(strata, min(most, len(strata)))
        return tuple(np.array([row for row in rows if self.names[row] in part], np.int64) for part in parts)


@dataclass(frozen=True, slots=True, eq=False)
class Validated:
    """A head, and what was said about patients that it did not see.

    tensors : of the head that was fitted on all rows
    folds : of rows, each asked about by a head that did not see its patients
    scores : (n, C) what was said about them, in the order of *rows*
    penalties : that were chosen, fold by fold and of the whole
    """

    tensors: Tensors
    folds: tuple[Rows, ...]
    scores: Scores
    penalties: tuple[float, ...]

    @property
    def rows(self) -> Rows:
        """(n,), fold by fold."""
        return np.concatenate(self.folds)

    @property
    def num_folds(self) -> int:
        return len(self.folds)


def cross_validate(
    trainable: Trainable,
    rows: Rows,
    patients: Patients,
    settings: TrainingSettings,
    folder: Path,
    *,
    done: Callable[[], None],
) -> Validated:
    """Fit on all *rows* but one fold's patients, fold by fold, and on all of them.

    folder : where finished fits are kept
    done : called after each fit

    Raises
    ------
    HeadTrainingError
        There is one patient alone.
    """
    folds = patients.folds(rows, settings.folds)
    if len(folds) < 2:
        raise HeadTrainingError(
            "table: expected at least two patients to fit on, one is never asked about by his own fit"
        )
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Scores] = []
    penalties: list[float] = []
    for number, asked in enumerate(folds):

        def about_others(asked: Rows = asked, number: int = number) -> dict[str, np.ndarray]:
            fitted = np.setdiff1d(rows, asked)
            chosen = tuned_fit(trainable, fitted, patients, settings, seed=settings.seed + number)
            scores = trainable.scores(chosen.fitted.tensors, asked)
            return {"scores": np.asarray(scores, np.float64), "penalty": np.array([chosen.penalty])}

        kept = _kept(folder / f"fold-{number}.safetensors", about_others)
        found.append(kept["scores"])
        penalties.append(float(kept["penalty"][0]))
        done()

    def about_all() -> dict[str, np.ndarray]:
        chosen = tuned_fit(trainable, rows, patients, settings, seed=settings.seed)
        return {f"head.{name}": np.ascontiguousarray(tensor) for name, tensor in chosen.fitted.tensors.items()} | {
            "penalty": np.array([chosen.penalty])
        }

    kept = _kept(folder / "all.safetensors", about_all)
    done()
    tensors = {name.removeprefix("head."): tensor for name, tensor in kept.items() if name.startswith("head.")}
    return Validated(
        tensors,
        folds,
        np.concatenate(found),
        (*penalties, float(kept["penalty"][0])),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A fit and the penalty that it was made with."""

    fitted: Fitted
    penalty: float


def tuned_fit(trainable: Trainable, rows: Rows, patients: Patients, settings: TrainingSettings, *, seed: int) -> Chosen:
    """A fit on *rows*, with the penalty and the epochs that some of their own patients preferred."""
    fit = settings.fit
    inner = patients.folds(rows, INNER_FOLDS)
    if len(inner) < 2 or (len(fit.penalties) == 1 and not fit.patience):
        return Chosen(trainable.fit(rows, penalty=fit.penalties[0], epochs=fit.epochs, seed=seed), fit.penalties[0])
    held_out, shown = inner[0], np.concatenate(inner[1:])
    trials = [
        (trainable.fit(np.sort(shown), penalty=penalty, epochs=fit.epochs, seed=seed, held_out=held_out), penalty)
        for penalty in fit.penalties
    ]
    best, penalty = min(trials, key=lambda trial: trial[0].held_out_loss)
    epochs = max(1, best.epochs) if fit.patience else fit.epochs
    return Chosen(trainable.fit(rows, penalty=penalty, epochs=epochs, seed=seed), penalty)


def _kept(path: Path, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What an earlier run left under *path*, or what is computed and left there now."""
    if not path.is_file():
        found = compute()
        with whole_file(path) as unfinished:
            save_file(found, unfinished)
    return dict(load_file(path))


def strata_of(targets: np.ndarray, family: Family) -> tuple[str, ...]:
    """(n, T) targets as words by which rows are shared out among folds; numbers by their quarter."""
    if family == "value":
        quarters = np.quantile(targets[:, 0], [0.25, 0.5, 0.75])
        return tuple(str(int(np.searchsorted(quarters, value))) for value in targets[:, 0])
    told = targets[:, 1:] if family == "survival" else targets
    return tuple(" ".join(f"{value:g}" for value in row) for row in told)


def rows_by_part(parts: Sequence[str | None]) -> tuple[Rows, Rows]:
    """Rows that are fitted on, and those that are only asked about."""
    is_test = np.array([part == "test" for part in parts], bool)
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)
