from trainer.evaluation.folds import patient_folds, stratified_folds


def test_folds_part_the_patients() -> None:
    folds = patient_folds(["b", "a", "c", "a", "d", "e"], 2)
    assert folds == (frozenset("ace"), frozenset("bd"))


def test_every_fold_has_its_share_of_each_stratum() -> None:
    strata = {f"p{k}": "rare" if k < 3 else "common" for k in range(12)}
    folds = stratified_folds(strata, 3)
    assert [sum(strata[p] == "rare" for p in fold) for fold in folds] == [1, 1, 1]
    assert frozenset().union(*folds) == set(strata)
