import numpy as np
from lifelines import NelsonAalenFitter

from trainer.heads.baseline_hazard import baseline_at, baseline_hazard

RNG = np.random.default_rng(5)


def test_with_equal_risks_it_is_nelson_and_aalens_estimate() -> None:
    times = np.ceil(RNG.exponential(50, 60))
    events = RNG.random(60) < 0.6
    days, hazard = baseline_hazard(np.zeros(60), times, events)
    other = NelsonAalenFitter(nelson_aalen_smoothing=False).fit(times, events).cumulative_hazard_at_times(days)
    # Ties: Breslow takes all of a day's events at once, lifelines one after the other.
    np.testing.assert_allclose(hazard, other.to_numpy(), rtol=0.06)
    assert days[-1] == times.max()
    assert (np.diff(hazard) >= 0).all()


def test_twice_the_risk_for_all_halves_it() -> None:
    times, events = np.array([1.0, 2.0, 3.0]), np.array([True, True, False])
    days, once = baseline_hazard(np.zeros(3), times, events)
    np.testing.assert_allclose(once, [1 / 3, 1 / 3 + 1 / 2, 1 / 3 + 1 / 2])
    np.testing.assert_allclose(baseline_hazard(np.full(3, np.log(2)), times, events)[1], once / 2)
    assert [baseline_at(days, once, day) for day in (0.5, 1.0, 2.5)] == [0.0, once[0], once[1]]
