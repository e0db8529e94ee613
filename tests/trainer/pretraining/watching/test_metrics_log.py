import pytest

from trainer.pretraining.watching.metrics_log import training_seconds


def test_seconds_are_those_of_the_steps() -> None:
    """20 steps of 8 slices at 16 a second, 5 at 4 a second; rows of probes tell no rate."""
    rows = [
        {"step": 20, "images_per_second": 16.0},
        {"step": 20, "knn/region": 0.5},
        {"step": 25, "images_per_second": 4.0},
    ]
    assert training_seconds(rows, 8) == pytest.approx(10.0 + 10.0)
