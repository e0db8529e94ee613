from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from orthanc_plugin.copies.outbox import Outbox
from orthanc_plugin.domain.errors import WorkTakenAway
from orthanc_plugin.domain.facts import KnownSeries, SeriesFacts
from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.jobs import PlannedCopy
from orthanc_plugin.ledger.ledger import Ledger
from service_cases import JOB, STUDY, stored


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield ledger
    ledger.close()


def walk(ledger: Ledger, work_id: str, *states: State) -> None:
    for state in states:
        ledger.jobs.move(ledger.jobs.read(work_id), state)


def test_a_job_reads_back_as_it_was_written(ledger: Ledger) -> None:
    assert ledger.jobs.add(STUDY, JOB)
    assert ledger.jobs.read("w1") == JOB


def test_the_same_work_twice_is_one_job(ledger: Ledger) -> None:
    assert ledger.jobs.add(STUDY, JOB)
    ledger.jobs.move(ledger.jobs.read("w1"), State.RUNNING)
    assert not ledger.jobs.add(STUDY, JOB)
    assert ledger.jobs.read("w1").state is State.RUNNING
    assert ledger.figures.count_by_state() == {"running": 1}


def test_work_is_entered_with_its_study_or_not_at_all(ledger: Ledger) -> None:
    with ledger.database.begin() as connection:
        refusal = "CREATE TRIGGER no_studies BEFORE INSERT ON curia_studies BEGIN SELECT RAISE(ABORT, 'cut off'); END"
        connection.execute(sa.text(refusal))
    with pytest.raises(sa.exc.IntegrityError, match="cut off"):
        ledger.jobs.add(STUDY, JOB)
    assert ledger.jobs.unfinished() == []


def test_a_forbidden_move_is_refused_and_changes_nothing(ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, JOB)
    with pytest.raises(ValueError, match="no move leads from queued to stored"):
        ledger.jobs.move(ledger.jobs.read("w1"), State.STORED)
    assert ledger.jobs.read("w1").state is State.QUEUED


def test_series_are_those_of_the_last_look_until_the_study_is_gone(ledger: Ledger) -> None:
    ledger.studies.note(STUDY, State.WAITING)
    ledger.studies.note_series("orthanc-1", [SeriesFacts("1.1", "SR", ("a",))])
    ledger.studies.note_series("orthanc-1", [SeriesFacts("1.1", "SR", ("a", "b")), SeriesFacts("1.2", "CT", ("c",))])
    row = ledger.studies.row("orthanc-1")
    assert row is not None
    assert row.series == (KnownSeries("1.1", "SR", 2), KnownSeries("1.2", "CT", 1))
    ledger.studies.forget("orthanc-1")
    ledger.studies.note(STUDY, State.WAITING)
    row = ledger.studies.row("orthanc-1")
    assert row is not None
    assert row.series == ()


def test_series_of_earlier_work_are_our_own_too(ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, replace(JOB, objects=(stored(series="1.5"),)))
    ledger.jobs.add(STUDY, replace(JOB, work_id="w2", objects=(stored(series="1.6"),)))
    row = ledger.studies.row("orthanc-1")
    assert row is not None
    assert row.job is not None
    assert (row.job.work_id, row.own_series_uids) == ("w2", {"1.5", "1.6"})


def test_ledger_outlives_its_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    first = Ledger.open(url)
    first.jobs.add(STUDY, JOB)
    first.cursors.set("c", 2**40)
    first.close()
    second = Ledger.open(url)
    assert second.cursors.read("c") == 2**40
    assert second.jobs.unfinished() == [JOB]
    second.close()


def test_cursor_is_unknown_at_first_and_then_the_last_set(ledger: Ledger) -> None:
    assert ledger.cursors.read("c") is None
    ledger.cursors.set("c", 5)
    ledger.cursors.set("c", 7)
    assert ledger.cursors.read("c") == 7


def test_requeued_work_starts_anew_but_keeps_its_objects(ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, JOB)
    walk(ledger, "w1", State.RUNNING, State.WRITING, State.STORING)
    objects = (stored(series="9.9"),)
    ledger.jobs.keep_objects(ledger.jobs.read("w1"), objects)
    ledger.jobs.move(ledger.jobs.read("w1"), State.STORED)
    ledger.jobs.requeue("w1")
    job = ledger.jobs.read("w1")
    assert (job.state, job.finished_at, job.objects) == (State.QUEUED, None, objects)
    assert ledger.jobs.own_series_uids("orthanc-1") == {"9.9"}


def test_newer_work_supersedes_what_is_finished_and_nothing_else(ledger: Ledger) -> None:
    for name, digest in (("w1", "s1"), ("w2", "s2"), ("w3", "s3")):
        ledger.jobs.add(STUDY, replace(JOB, work_id=name, source_digest=digest))
    walk(ledger, "w1", State.RUNNING, State.FAILED)
    ledger.jobs.supersede_older(ledger.jobs.read("w3"))
    assert [ledger.jobs.read(name).state for name in ("w1", "w2", "w3")] == ["superseded", "queued", "queued"]


def test_crashes_are_counted_and_timings_kept(ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, JOB)
    assert [ledger.jobs.count_crash(ledger.jobs.read("w1")) for _ in range(2)] == [1, 2]
    ledger.jobs.add_timing(ledger.jobs.read("w1"), "fetch", 0.12345)
    ledger.jobs.add_timing(ledger.jobs.read("w1"), "run", 2.0)
    assert ledger.jobs.read("w1").timings == {"fetch": 0.123, "run": 2.0}


def test_work_list_shows_the_current_work_of_each_study(ledger: Ledger) -> None:
    ledger.studies.note(replace(STUDY, orthanc_id="orthanc-2"), State.WAITING, reason="still arriving")
    ledger.jobs.add(STUDY, JOB)
    rows = {row.orthanc_id: row for row in ledger.studies.work_list(10)}
    assert rows["orthanc-2"].state is State.WAITING
    assert rows["orthanc-1"].job == JOB
    ledger.studies.forget("orthanc-2")
    assert ledger.studies.known() == {"orthanc-1"}


def test_work_that_another_host_put_back_is_not_put_back_twice(ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, JOB)
    walk(ledger, "w1", State.RUNNING, State.FAILED)
    ledger.jobs.requeue("w1")
    ledger.jobs.move(ledger.jobs.read("w1"), State.RUNNING)
    ledger.jobs.requeue("w1")
    assert ledger.jobs.read("w1").state is State.RUNNING


def test_every_attempts_bytes_are_planned_and_so_are_those_that_lie_there(ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, replace(JOB, objects=(stored(instance="1", sha256="a"),)))
    ledger.jobs.plan(ledger.jobs.read("w1"), {"1": "b", "2": "c"})
    ledger.jobs.plan(ledger.jobs.read("w1"), {"1": "b"})
    assert ledger.jobs.read("w1").planned == {"1": ["a", "b"], "2": ["c"]}


def test_what_is_at_rest_without_outcome_is_overdue_whether_or_not_it_has_work(ledger: Ledger) -> None:
    second, third, fourth = (replace(STUDY, orthanc_id=f"orthanc-{number}") for number in (2, 3, 4))
    ledger.jobs.add(STUDY, JOB)
    since = ledger.studies.note_stable(second)
    ledger.studies.note(third, State.WAITING, reason="held back by the rule night")
    ledger.jobs.add(fourth, replace(JOB, work_id="w4", orthanc_id="orthanc-4"))
    walk(ledger, "w4", State.RUNNING, State.FAILED)
    assert [one.orthanc_id for one in ledger.figures.overdue(3600.0)] == ["orthanc-1"]
    assert [(one.orthanc_id, one.since) for one in ledger.figures.overdue(-1.0)] == [
        ("orthanc-1", 1.0),
        ("orthanc-2", since),
    ]


def test_earlier_reports_are_those_of_the_last_result_before(ledger: Ledger) -> None:
    for number in (1, 2, 3):
        objects = tuple(stored(kind, instance=f"{kind}{number}") for kind in ("SEG", "SR"))
        ledger.jobs.add(STUDY, replace(JOB, work_id=f"w{number}", queued_at=float(number), objects=objects))
    assert ledger.jobs.earlier_reports(ledger.jobs.read("w1")) == []
    assert [report.sop_instance_uid for report in ledger.jobs.earlier_reports(ledger.jobs.read("w3"))] == ["SR2"]


def test_stable_since_is_the_first_time_since_the_study_was_arriving(ledger: Ledger) -> None:
    first = ledger.studies.note_stable(STUDY)
    assert ledger.studies.note_stable(STUDY) == first
    ledger.studies.note(STUDY, State.WAITING)
    assert ledger.studies.note_stable(STUDY) > first


def test_who_lost_the_lease_can_write_nothing(ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, JOB)
    mine = ledger.jobs.take_lease("w1")
    ledger.jobs.move(mine, State.RUNNING)
    assert ledger.jobs.leased("w1", mine.lease).state is State.RUNNING
    ledger.jobs.take_lease("w1")
    before = ledger.jobs.read("w1")
    writes: list[Callable[[], object]] = [
        lambda: ledger.jobs.leased("w1", mine.lease),
        lambda: ledger.jobs.begin_attempt(mine),
        lambda: ledger.jobs.move(mine, State.WRITING),
        lambda: ledger.jobs.keep_objects(mine, ()),
        lambda: ledger.jobs.end(mine, State.FAILED, code="c", message="m"),
        lambda: ledger.jobs.plan(mine, {"1": "a"}),
        lambda: ledger.jobs.count_crash(mine),
        lambda: ledger.jobs.add_timing(mine, "run", 1.0),
    ]
    for write in writes:
        with pytest.raises(WorkTakenAway):
            write()
    assert ledger.jobs.read("w1") == before


def test_only_who_has_the_lease_finishes_the_work_and_sends_copies(ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, JOB)
    stale, current = ledger.jobs.take_lease("w1"), ledger.jobs.take_lease("w1")
    for state in (State.RUNNING, State.WRITING, State.STORING):
        ledger.jobs.move(current, state)
    copies = [PlannedCopy("w1", "pacs", stored(instance=uid), due_at=0.0) for uid in ("1", "2")]
    with pytest.raises(WorkTakenAway):
        ledger.jobs.finish(stale, copies[:1])
    ledger.jobs.finish(current, copies[1:])
    # Also where the move itself would be a defect.
    with pytest.raises(WorkTakenAway):
        ledger.jobs.move(stale, State.STORING)
    assert ledger.jobs.read("w1").state is State.STORED
    assert Outbox(ledger.database).count_pending() == {"pacs": 1}
