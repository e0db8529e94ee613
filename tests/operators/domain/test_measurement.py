import pytest

from operators.domain.concepts import MILLILITRE, VOLUME
from operators.domain.measurement import Measurement


@pytest.mark.parametrize(
    ("prior", "words"),
    [
        ((None, None, None), ""),
        ((11.8, 90, 4.55), "11.8 mL 90 days before, a change of +4.5 %"),
        ((11.8, None, -4.55), "11.8 mL on the prior, a change of -4.5 %"),
        ((0.0, 90, None), "0 mL 90 days before"),
    ],
)
def test_a_number_says_what_it_was_on_the_prior(prior, words):
    assert Measurement("liver volume", VOLUME, 12.3, MILLILITRE, "1.2.3", 1, "2.25.1", *prior).since_prior == words
