import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import expit

from companion_cases import evidence_of
from operators.domain.finding import TokenContributions
from operators.study_run.kept_evidence import keep_evidence
from phantoms import SeriesSpec, build_source_series
from result_cases import build_case


def test_each_map_lies_on_its_own_grid_with_probabilities_or_shares_of_the_strongest(tmp_path: Path) -> None:
    case = build_case(build_source_series(SeriesSpec()))
    log_odds = evidence_of(case)
    added = TokenContributions(case.findings[1], log_odds.volume)
    reading = case.reading.with_each(lambda one: replace(one, evidence=(log_odds,), contributions=(added,)))
    keep_evidence(reading, tmp_path)
    probability, contribution = json.loads((tmp_path / "evidence.json").read_text())
    assert [one["finding"] for one in (probability, contribution)] == [one.name for one in case.findings[:2]]
    array, geometry = log_odds.volume.array, log_odds.volume.geometry
    assert array.min() < 0
    expected = {"probability": expit(array), "contribution": np.clip(array / array.max(), 0, 1)}
    for one in (probability, contribution):
        assert one["series"] == case.source.series_instance_uid
        np.testing.assert_array_equal(one["affine"], geometry.affine)
        values = np.frombuffer(base64.b64decode(one["values"]), np.uint8).reshape(one["shape"])
        np.testing.assert_allclose(values, 255 * expected[one["kind"]], atol=0.5 + 1e-4)
