import time
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.upkeep.metrics import StageMetrics
from service_cases import JOB, STUDY


def test_stages_and_ends_are_counted(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    registry = CollectorRegistry()
    metrics = StageMetrics(registry, ledger.jobs)
    ledger.jobs.add(STUDY, replace(JOB, queued_at=time.time() - 2.5))

    def begin(work_id: str, _lease: int) -> str:
        ledger.jobs.start(ledger.jobs.read(work_id))
        return State.RUNNING.value

    def fail(work_id: str, _lease: int) -> str:
        ledger.jobs.end(ledger.jobs.read(work_id), State.FAILED, code="exit-4", message="unreadable")
        return State.FAILED.value

    metrics.observed("fetch", begin)("w1", 0)
    assert registry.get_sample_value("curia_ended_total", {"state": "failed"}) == 0
    metrics.observed("run", fail)("w1", 0)
    ledger.close()
    assert registry.get_sample_value("curia_ended_total", {"state": "failed"}) == 1
    assert registry.get_sample_value("curia_stage_seconds_count", {"stage": "fetch"}) == 1
    assert registry.get_sample_value("curia_stage_seconds_sum", {"stage": "queue"}) == pytest.approx(2.5, abs=1.0)
    assert registry.get_sample_value("curia_stage_seconds_count", {"stage": "stable_to_end"}) == 1


def test_a_stage_that_breaks_off_is_not_counted(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    registry = CollectorRegistry()

    def broken(_work_id: str, _lease: int) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StageMetrics(registry, ledger.jobs).observed("run", broken)("w1", 0)
    ledger.close()
    assert registry.get_sample_value("curia_stage_seconds_count", {"stage": "run"}) is None
