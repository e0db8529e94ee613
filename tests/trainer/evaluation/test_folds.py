from trainer.evaluation.folds import patient_folds


def test_folds_part_the_patients() -> None:
    folds = patient_folds(["b", "a", "c", "a", "d", "e"], 2)
    assert folds == (frozenset("ace"), frozenset("bd"))
