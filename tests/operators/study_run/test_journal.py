import time

import pytest

from operators.study_run.journal import RunJournal


def test_work_within_another_stage_counts_where_it_belongs() -> None:
    journal = RunJournal()
    with journal.stage("early"):
        time.sleep(0.02)
    with journal.stage("late"):
        time.sleep(0.05)
        for _ in range(2):
            with journal.within("early"):
                time.sleep(0.1)
    early, late = journal.stages
    assert [stage.name for stage in journal.stages] == ["early", "late"]
    assert early.seconds == pytest.approx(0.22, abs=0.06)
    assert late.seconds == pytest.approx(0.05, abs=0.04)


def test_the_stages_add_up_to_the_run() -> None:
    start = time.perf_counter()
    journal = RunJournal()
    with journal.stage("early"):
        pass
    with journal.stage("late"), journal.within("early"):
        time.sleep(0.05)
    journal.close()
    assert sum(stage.seconds for stage in journal.stages) == pytest.approx(time.perf_counter() - start, abs=2e-3)
