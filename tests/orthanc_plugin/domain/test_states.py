"""The table of states against the drawing in DESIGN: one way forward, three other ends, and back only to redo."""

import pytest

from orthanc_plugin.domain.states import ACTIVE, FINAL, TRANSITIONS, State, may_move

WAY = [State.WAITING, State.QUEUED, State.RUNNING, State.WRITING, State.STORING, State.STORED]


def test_the_way_forward_is_open() -> None:
    assert all(may_move(before, after) for before, after in zip(WAY, WAY[1:], strict=False))


def test_nothing_skips_a_state() -> None:
    skips = [(a, b) for i, a in enumerate(WAY) for b in WAY[i + 2 :]]
    assert not [skip for skip in skips if may_move(*skip)]


@pytest.mark.parametrize("end", [State.NOT_APPLICABLE, State.FAILED, State.SUPERSEDED])
def test_active_work_can_end_without_a_result(end: State) -> None:
    assert all(may_move(state, end) for state in ACTIVE)


def test_an_end_is_left_only_for_the_queue_or_for_newer_work() -> None:
    for state in FINAL:
        assert TRANSITIONS[state] <= {State.QUEUED, State.SUPERSEDED}


def test_every_state_is_waiting_active_or_final() -> None:
    assert {State.WAITING} | ACTIVE | FINAL == set(State)
    assert set(TRANSITIONS) == set(State)


def test_a_step_that_is_repeated_stays() -> None:
    assert all(may_move(state, state) for state in State)
