from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from orthanc_plugin.domain.facts import StudyFacts
from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.ledger import Job, Ledger
from orthanc_plugin.upkeep.stage_metrics import StageMetrics

STUDY = StudyFacts("o1", "1.2.3", True, datetime(2026, 1, 31, tzinfo=UTC))
JOB = Job(
    work_id="w1", orthanc_id="o1", study_instance_uid="1.2.3", source_digest="s1", pipeline_digest="p",
    state=State.QUEUED, stable_at=100.0, queued_at=101.0,
)  # fmt: skip


def test_stages_and_ends_are_counted(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    registry = CollectorRegistry()
    metrics = StageMetrics(registry, ledger)
    ledger.add_job(STUDY, JOB)

    def begin(work_id: str, _hold: int) -> str:
        ledger.move(ledger.job(work_id), State.RUNNING, started_at=103.5)
        return State.RUNNING.value

    def fail(work_id: str, _hold: int) -> str:
        ledger.end(ledger.job(work_id), State.FAILED, code="exit-4", message="unreadable")
        return State.FAILED.value

    metrics.observed("fetch", begin)("w1", 0)
    assert registry.get_sample_value("curia_ended_total", {"state": "failed"}) == 0
    metrics.observed("run", fail)("w1", 0)
    ledger.close()
    assert registry.get_sample_value("curia_ended_total", {"state": "failed"}) == 1
    assert registry.get_sample_value("curia_stage_seconds_count", {"stage": "fetch"}) == 1
    assert registry.get_sample_value("curia_stage_seconds_sum", {"stage": "queue"}) == pytest.approx(2.5)
    assert registry.get_sample_value("curia_stage_seconds_count", {"stage": "stable_to_end"}) == 1


def test_a_stage_that_breaks_off_is_not_counted(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    registry = CollectorRegistry()

    def broken(_work_id: str, _hold: int) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StageMetrics(registry, ledger).observed("run", broken)("w1", 0)
    ledger.close()
    assert registry.get_sample_value("curia_stage_seconds_count", {"stage": "run"}) is None
