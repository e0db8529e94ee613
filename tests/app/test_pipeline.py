"""What is loaded once, and what its digest depends on."""

from app.pipeline import Pipeline
from app.settings import DEMO_MODEL, Settings
from operators.dicom.study.read_limits import ReadLimits


def test_limits_reach_the_reader_and_change_no_digest():
    limits = ReadLimits(max_slices=7)
    plain = Pipeline.load(DEMO_MODEL, Settings(device="cpu"))
    limited = Pipeline.load(DEMO_MODEL, Settings(device="cpu", limits=limits))
    assert plain.chain.limits == ReadLimits()
    assert limited.chain.limits == limits
    assert limited.chain.region_probe is not None
    assert limited.chain.region_probe.limits == limits
    assert limited.deployment.digest == plain.deployment.digest
