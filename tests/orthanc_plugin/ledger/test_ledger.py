from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from orthanc_plugin.copies.outbox import Outbox
from orthanc_plugin.domain.errors import WorkTakenAway
from orthanc_plugin.domain.facts import SeriesFacts, StudyFacts
from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.ledger import Job, Ledger

STUDY = StudyFacts("orthanc-1", "1.2.3", True, datetime(2026, 1, 31, tzinfo=UTC))
JOB = Job(
    work_id="w1", orthanc_id="orthanc-1", study_instance_uid="1.2.3", source_digest="s1", pipeline_digest="p",
    state=State.QUEUED, stable_at=1.0, queued_at=2.0,
)  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield ledger
    ledger.close()


def walk(ledger: Ledger, work_id: str, *states: State) -> None:
    for state in states:
        ledger.move(ledger.job(work_id), state)


def test_a_job_reads_back_as_it_was_written(ledger: Ledger) -> None:
    assert ledger.add_job(STUDY, JOB)
    assert ledger.job("w1") == JOB


def test_the_same_work_twice_is_one_job(ledger: Ledger) -> None:
    assert ledger.add_job(STUDY, JOB)
    ledger.move(ledger.job("w1"), State.RUNNING)
    assert not ledger.add_job(STUDY, JOB)
    assert ledger.job("w1").state is State.RUNNING
    assert ledger.count_by_state() == {"running": 1}


def test_work_is_entered_with_its_study_or_not_at_all(ledger: Ledger) -> None:
    with ledger.database.begin() as connection:
        refusal = "CREATE TRIGGER no_studies BEFORE INSERT ON curia_studies BEGIN SELECT RAISE(ABORT, 'cut off'); END"
        connection.execute(sa.text(refusal))
    with pytest.raises(sa.exc.IntegrityError, match="cut off"):
        ledger.add_job(STUDY, JOB)
    assert ledger.unfinished_jobs() == []


def test_a_forbidden_move_is_refused_and_changes_nothing(ledger: Ledger) -> None:
    ledger.add_job(STUDY, JOB)
    with pytest.raises(ValueError, match="no move leads from queued to stored"):
        ledger.move(ledger.job("w1"), State.STORED)
    assert ledger.job("w1").state is State.QUEUED


def test_series_are_those_of_the_last_look_until_the_study_is_gone(ledger: Ledger) -> None:
    ledger.note_study(STUDY, State.WAITING)
    ledger.note_series("orthanc-1", [SeriesFacts("1.1", "SR", ("a",))])
    ledger.note_series("orthanc-1", [SeriesFacts("1.1", "SR", ("a", "b")), SeriesFacts("1.2", "CT", ("c",))])
    row = ledger.study_row("orthanc-1")
    assert row is not None
    assert row.series == [
        {"series_instance_uid": "1.1", "modality": "SR", "num_instances": 2},
        {"series_instance_uid": "1.2", "modality": "CT", "num_instances": 1},
    ]
    ledger.forget_study("orthanc-1")
    ledger.note_study(STUDY, State.WAITING)
    row = ledger.study_row("orthanc-1")
    assert row is not None
    assert row.series == []


def test_series_of_earlier_work_are_our_own_too(ledger: Ledger) -> None:
    ledger.add_job(STUDY, replace(JOB, objects=[{"series_instance_uid": "1.5"}]))
    ledger.add_job(STUDY, replace(JOB, work_id="w2", objects=[{"series_instance_uid": "1.6"}]))
    row = ledger.study_row("orthanc-1")
    assert row is not None
    assert row.job is not None
    assert (row.job.work_id, row.own_series_uids) == ("w2", {"1.5", "1.6"})


def test_ledger_outlives_its_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    first = Ledger(url)
    first.add_job(STUDY, JOB)
    first.set_cursor("c", 2**40)
    first.close()
    second = Ledger(url)
    assert second.cursor("c") == 2**40
    assert second.unfinished_jobs() == [JOB]
    second.close()


def test_cursor_is_unknown_at_first_and_then_the_last_set(ledger: Ledger) -> None:
    assert ledger.cursor("c") is None
    ledger.set_cursor("c", 5)
    ledger.set_cursor("c", 7)
    assert ledger.cursor("c") == 7


def test_requeued_work_starts_anew_but_keeps_its_objects(ledger: Ledger) -> None:
    ledger.add_job(STUDY, JOB)
    walk(ledger, "w1", State.RUNNING, State.WRITING, State.STORING)
    objects = [{"series_instance_uid": "9.9"}]
    ledger.move(ledger.job("w1"), State.STORING, objects=objects)
    ledger.move(ledger.job("w1"), State.STORED)
    ledger.requeue("w1")
    job = ledger.job("w1")
    assert (job.state, job.finished_at, job.objects) == (State.QUEUED, None, objects)
    assert ledger.own_series_uids("orthanc-1") == {"9.9"}


def test_newer_work_supersedes_what_is_finished_and_nothing_else(ledger: Ledger) -> None:
    for name, digest in (("w1", "s1"), ("w2", "s2"), ("w3", "s3")):
        ledger.add_job(STUDY, replace(JOB, work_id=name, source_digest=digest))
    walk(ledger, "w1", State.RUNNING, State.FAILED)
    ledger.supersede_older(ledger.job("w3"))
    assert [ledger.job(name).state for name in ("w1", "w2", "w3")] == ["superseded", "queued", "queued"]


def test_crashes_are_counted_and_timings_kept(ledger: Ledger) -> None:
    ledger.add_job(STUDY, JOB)
    assert [ledger.count_crash(ledger.job("w1")) for _ in range(2)] == [1, 2]
    ledger.add_timing(ledger.job("w1"), "fetch", 0.12345)
    ledger.add_timing(ledger.job("w1"), "run", 2.0)
    assert ledger.job("w1").timings == {"fetch": 0.123, "run": 2.0}


def test_work_list_shows_the_current_work_of_each_study(ledger: Ledger) -> None:
    ledger.note_study(replace(STUDY, orthanc_id="orthanc-2"), State.WAITING, reason="still arriving")
    ledger.add_job(STUDY, JOB)
    rows = {row.orthanc_id: row for row in ledger.work_list(10)}
    assert rows["orthanc-2"].state is State.WAITING
    assert rows["orthanc-1"].job == JOB
    ledger.forget_study("orthanc-2")
    assert ledger.known_studies() == {"orthanc-1"}


def test_work_that_another_host_put_back_is_not_put_back_twice(ledger: Ledger) -> None:
    ledger.add_job(STUDY, JOB)
    walk(ledger, "w1", State.RUNNING, State.FAILED)
    ledger.requeue("w1")
    ledger.move(ledger.job("w1"), State.RUNNING)
    ledger.requeue("w1")
    assert ledger.job("w1").state is State.RUNNING


def test_every_attempts_bytes_are_planned_and_so_are_those_that_lie_there(ledger: Ledger) -> None:
    ledger.add_job(STUDY, replace(JOB, objects=[{"series_instance_uid": "9", "sop_instance_uid": "1", "sha256": "a"}]))
    ledger.plan(ledger.job("w1"), [{"sop_instance_uid": "1", "sha256": "b"}, {"sop_instance_uid": "2", "sha256": "c"}])
    ledger.plan(ledger.job("w1"), [{"sop_instance_uid": "1", "sha256": "b"}])
    assert ledger.job("w1").planned == {"1": ["a", "b"], "2": ["c"]}


def test_what_is_at_rest_without_outcome_is_overdue_whether_or_not_it_has_work(ledger: Ledger) -> None:
    second, third, fourth = (replace(STUDY, orthanc_id=f"orthanc-{number}") for number in (2, 3, 4))
    ledger.add_job(STUDY, JOB)
    since = ledger.note_stable(second)
    ledger.note_study(third, State.WAITING, reason="held back by the rule night")
    ledger.add_job(fourth, replace(JOB, work_id="w4", orthanc_id="orthanc-4"))
    walk(ledger, "w4", State.RUNNING, State.FAILED)
    assert [one.orthanc_id for one in ledger.overdue(3600.0)] == ["orthanc-1"]
    assert [(one.orthanc_id, one.since) for one in ledger.overdue(-1.0)] == [("orthanc-1", 1.0), ("orthanc-2", since)]


def test_earlier_reports_are_those_of_the_last_result_before(ledger: Ledger) -> None:
    for number in (1, 2, 3):
        objects = [{"kind": kind, "name": f"{kind}{number}", "series_instance_uid": "9"} for kind in ("SEG", "SR")]
        ledger.add_job(STUDY, replace(JOB, work_id=f"w{number}", queued_at=float(number), objects=objects))
    assert ledger.earlier_reports(ledger.job("w1")) == []
    assert [entry["name"] for entry in ledger.earlier_reports(ledger.job("w3"))] == ["SR2"]


def test_stable_since_is_the_first_time_since_the_study_was_arriving(ledger: Ledger) -> None:
    first = ledger.note_stable(STUDY)
    assert ledger.note_stable(STUDY) == first
    ledger.note_study(STUDY, State.WAITING)
    assert ledger.note_stable(STUDY) > first


def test_who_had_the_work_taken_out_of_the_hand_can_write_nothing(ledger: Ledger) -> None:
    ledger.add_job(STUDY, JOB)
    mine = ledger.take("w1")
    ledger.move(mine, State.RUNNING)
    assert ledger.held("w1", mine.hold).state is State.RUNNING
    ledger.take("w1")
    before = ledger.job("w1")
    writes: list[Callable[[], object]] = [
        lambda: ledger.held("w1", mine.hold),
        lambda: ledger.begin(mine),
        lambda: ledger.move(mine, State.WRITING),
        lambda: ledger.end(mine, State.FAILED, code="c", message="m"),
        lambda: ledger.plan(mine, [{"sop_instance_uid": "1", "sha256": "a"}]),
        lambda: ledger.count_crash(mine),
        lambda: ledger.add_timing(mine, "run", 1.0),
    ]
    for write in writes:
        with pytest.raises(WorkTakenAway):
            write()
    assert ledger.job("w1") == before


def test_only_who_has_the_work_in_hand_finishes_it_and_sends_copies(ledger: Ledger) -> None:
    ledger.add_job(STUDY, JOB)
    stale, current = ledger.take("w1"), ledger.take("w1")
    for state in (State.RUNNING, State.WRITING, State.STORING):
        ledger.move(current, state)
    rows = [
        {"sop_instance_uid": uid, "destination": "pacs", "work_id": "w1", "entry": {"kind": "SR"}, "state": "pending",
         "attempts": 0, "due_at": 0.0, "trouble": None}
        for uid in ("1", "2")
    ]  # fmt: skip
    with pytest.raises(WorkTakenAway):
        ledger.finish(stale, rows[:1])
    ledger.finish(current, rows[1:])
    # Also where the move itself would be a defect.
    with pytest.raises(WorkTakenAway):
        ledger.move(stale, State.STORING)
    assert ledger.job("w1").state is State.STORED
    assert Outbox(ledger.database).count_pending() == {"pacs": 1}
