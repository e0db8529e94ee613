"""How a question is answered from features: each protocol gives predictions of examples that it did not see."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.benchmark.aligning import answer_alignment
from trainer.benchmark.carrying import answer_nearest_tokens
from trainer.benchmark.dense import answer_dense
from trainer.benchmark.features import FeatureTable
from trainer.benchmark.question import Fold, Question
from trainer.evaluation.predictions import Predictions, balanced_accuracy, mae
from trainer.evaluation.probes import neighbour_votes
from trainer.heads.attention import fit_attention
from trainer.heads.probes import PENALTIES, STRENGTHS, choose, fit_logistic, fit_ridge, nearest_mean
from trainer.heads.survival import fit_cox

SHOTS = (1, 2, 4, 8, 16, 32, 64)
DRAWS = 10
"""Of the few that are shown, and of the patients of a share."""

MANY_LABELS = 0.01
"""Inverse penalty where a map is fitted to each of many findings, as RATE's own evaluation has it."""

TOKENS_OF_AN_EXAMPLE = 512
"""That the attention probe sees; more cost time in proportion."""

SHARES = (0.05, 0.1, 0.25, 0.5)
SHARE_DRAWS = 3

Floats = NDArray[np.float64]
Features = NDArray[np.float32]
Answer = Callable[[Question, Features], Predictions]


def answers(question: Question, tables: Sequence[FeatureTable], protocol: str) -> Iterator[tuple[str, Predictions]]:
    """Predictions of a protocol, several where it has variants, each with its name in the results."""
    table = tables[0]
    if protocol == "dense":
        yield protocol, answer_dense(question, table)
        return
    if protocol == "nearest-tokens":
        yield protocol, answer_nearest_tokens(question, table, tables[1])
        return
    if protocol == "alignment":
        yield protocol, answer_alignment(question, table, tables[1])
        return
    if protocol == "attention":
        yield protocol, _attention(question, table)
        return
    features = table.vectors(question.rows)
    if protocol == "few-shot":
        yield from _few_shot(question, features)
    elif protocol == "data-efficiency":
        for share in SHARES:
            if share * _fewest_patients(question) >= 2 * len(question.classes):
                yield f"linear-{share:.0%}", _of_a_share(question, features, share)
    else:
        yield protocol, _BY_NAME[protocol](question, features)


def _linear(question: Question, features: Features) -> Predictions:
    if question.task.kind == "multi-label":
        return _each_label(question, features)
    fit = partial(fit_logistic, num_classes=len(question.classes))

    def answer(fold: Fold) -> Floats:
        shown = features[fold.fitted], question.true[fold.fitted]
        strength = choose(fit, *shown, question.patients[fold.fitted], among=STRENGTHS, score=_balanced)
        return fit(*shown, strength)(features[fold.asked])

    return by_fold(question, [answer(fold) for fold in question.folds])


def _each_label(question: Question, features: Features) -> Predictions:
    """A map for each finding, of those of the fitted that are told; one that all or none of them has is not asked."""
    found = []
    for fold in question.folds:
        scores = np.full((len(fold.asked), len(question.classes)), 0.5)
        for label in range(len(question.classes)):
            told = fold.fitted[np.isfinite(question.true[fold.fitted, label])]
            if len(set(question.true[told, label].tolist())) == 2:
                fit = fit_logistic(features[told], question.true[told, label], MANY_LABELS, num_classes=2)
                scores[:, label] = fit(features[fold.asked])[:, 1]
        found.append(scores)
    return by_fold(question, found)


def _attention(question: Question, table: FeatureTable) -> Predictions:
    tokens = [_some_tokens(table.tokens(row)) for row in question.rows]

    def answer(fold: Fold, seed: int) -> Floats:
        shown = [tokens[place] for place in fold.fitted]
        fit = fit_attention(shown, question.true[fold.fitted], num_classes=len(question.classes), seed=seed)
        return fit([tokens[place] for place in fold.asked])

    return by_fold(question, [answer(fold, number) for number, fold in enumerate(question.folds)])


def _some_tokens(tokens: Features) -> Features:
    """(T, D) evenly spaced over all slices, at most `TOKENS_OF_AN_EXAMPLE`."""
    flat = tokens.reshape(-1, tokens.shape[-1])
    places = np.unique(np.linspace(0, len(flat) - 1, min(len(flat), TOKENS_OF_AN_EXAMPLE)).round().astype(int))
    return np.ascontiguousarray(flat[places])


def _knn(question: Question, features: Features) -> Predictions:
    if question.task.kind == "regression":
        targets = question.true[:, None]
    else:
        targets = np.eye(len(question.classes))[question.true.astype(int)]

    def answer(fold: Fold) -> Floats:
        known, asked = (torch.from_numpy(features[places]) for places in (fold.fitted, fold.asked))
        return neighbour_votes(known, torch.from_numpy(targets[fold.fitted]).float(), asked).double().numpy()

    return by_fold(question, [answer(fold) for fold in question.folds])


def _ridge(question: Question, features: Features) -> Predictions:
    def answer(fold: Fold) -> Floats:
        shown = features[fold.fitted], question.true[fold.fitted]
        penalty = choose(fit_ridge, *shown, question.patients[fold.fitted], among=PENALTIES, score=_less_error)
        return fit_ridge(*shown, penalty)(features[fold.asked])

    return by_fold(question, [answer(fold) for fold in question.folds])


def _cox(question: Question, features: Features) -> Predictions:
    assert question.events is not None
    events = question.events
    risks = [
        fit_cox(features[fold.fitted], question.true[fold.fitted], events[fold.fitted])(features[fold.asked])
        for fold in question.folds
    ]
    return by_fold(question, risks)


def _few_shot(question: Question, features: Features) -> Iterator[tuple[str, Predictions]]:
    """As many shots as every class has examples of in every fold."""
    fewest = min(
        np.bincount(question.true[fold.fitted].astype(int), minlength=len(question.classes)).min()
        for fold in question.folds
    )
    for shots in SHOTS:
        if shots > fewest:
            return
        draws = []
        for draw in range(DRAWS):
            found = []
            for number, fold in enumerate(question.folds):
                rng = np.random.default_rng([draw, number, shots])
                shown = _drawn(question, fold, shots, rng)
                found.append(
                    nearest_mean(
                        features[shown], question.true[shown], features[fold.asked], num_classes=len(question.classes)
                    )
                )
            draws.append(by_fold(question, found))
        yield f"few-shot-{shots}", replace(draws[0], scores=np.concatenate([draw.scores for draw in draws]))


def _drawn(question: Question, fold: Fold, shots: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """So many examples of each class, of as many different patients as there are."""
    chosen: list[int] = []
    for number in range(len(question.classes)):
        places = rng.permutation(fold.fitted[question.true[fold.fitted] == number])
        _, turn = np.unique(question.patients[places], return_inverse=True)
        seen = np.zeros(turn.max() + 1, int)
        rounds = np.empty(len(places), int)
        for place, patient in enumerate(turn):
            rounds[place] = seen[patient]
            seen[patient] += 1
        chosen.extend(places[np.argsort(rounds, kind="stable")[:shots]].tolist())
    return np.array(chosen)


def _of_a_share(question: Question, features: Features, share: float) -> Predictions:
    """The linear probe fitted on a share of the patients, drawn several times; every class is shown."""
    draws = []
    for draw in range(SHARE_DRAWS):
        found = []
        for number, fold in enumerate(question.folds):
            rng = np.random.default_rng([draw, number, round(1000 * share)])
            places = fold.fitted[np.isin(question.patients[fold.fitted], _some_patients(question, fold, share, rng))]
            fit = fit_logistic(features[places], question.true[places], STRENGTHS[1], num_classes=len(question.classes))
            found.append(fit(features[fold.asked]))
        draws.append(by_fold(question, found))
    return replace(draws[0], scores=np.concatenate([draw.scores for draw in draws]))


def _some_patients(question: Question, fold: Fold, share: float, rng: np.random.Generator) -> list[str]:
    chosen: set[str] = set()
    for number in range(len(question.classes)):
        names = np.unique(question.patients[fold.fitted][question.true[fold.fitted] == number])
        chosen.update(rng.permutation(names)[: max(1, round(share * len(names)))].tolist())
    return sorted(chosen)


def _fewest_patients(question: Question) -> int:
    return min(len(np.unique(question.patients[fold.fitted])) for fold in question.folds)


def by_fold(question: Question, found: Sequence[Floats]) -> Predictions:
    """Predictions in the order of the folds; *found* has each fold's (n, C) answers."""
    places = np.concatenate([fold.asked for fold in question.folds])
    events = None if question.events is None else question.events[places]
    return Predictions(question.patients[places], question.true[places], np.concatenate(found)[None], events)


def _balanced(scores: Floats, true: Floats, patients: NDArray[np.str_]) -> float:
    return float(balanced_accuracy(Predictions(patients, true, scores[None]), np.ones((1, len(true))))[0])


def _less_error(scores: Floats, true: Floats, patients: NDArray[np.str_]) -> float:
    return -float(mae(Predictions(patients, true, scores[None]), np.ones((1, len(true))))[0])


_BY_NAME: Mapping[str, Answer] = {"linear": _linear, "knn": _knn, "ridge": _ridge, "cox": _cox}
