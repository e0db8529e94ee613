"""The states of a study's work, and the only moves between them.

    waiting → queued → running → writing → storing → stored
                                                      ├ not-applicable, failed: other ends
                                                      └ superseded: the study changed, newer work replaces this

``waiting`` belongs to a study that is still arriving, before any work exists; the others to a piece of work. A
step that is repeated after a crash moves back to its own state, hence the moves against the arrow.
"""

from enum import StrEnum


class State(StrEnum):
    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    WRITING = "writing"
    STORING = "storing"
    STORED = "stored"
    NOT_APPLICABLE = "not-applicable"
    FAILED = "failed"
    SUPERSEDED = "superseded"

    @property
    def is_final(self) -> bool:
        return self in FINAL


ACTIVE = frozenset({State.QUEUED, State.RUNNING, State.WRITING, State.STORING})
FINAL = frozenset({State.STORED, State.NOT_APPLICABLE, State.FAILED, State.SUPERSEDED})

_ENDS = frozenset({State.NOT_APPLICABLE, State.FAILED, State.SUPERSEDED})
TRANSITIONS: dict[State, frozenset[State]] = {
    State.WAITING: frozenset({State.QUEUED, State.NOT_APPLICABLE}),
    State.QUEUED: frozenset({State.RUNNING}) | _ENDS,
    State.RUNNING: frozenset({State.WRITING}) | _ENDS,
    State.WRITING: frozenset({State.RUNNING, State.STORING}) | _ENDS,
    State.STORING: frozenset({State.RUNNING, State.WRITING, State.STORED}) | _ENDS,
    State.STORED: frozenset({State.QUEUED, State.SUPERSEDED}),
    State.NOT_APPLICABLE: frozenset({State.QUEUED, State.SUPERSEDED}),
    State.FAILED: frozenset({State.QUEUED, State.SUPERSEDED}),
    State.SUPERSEDED: frozenset({State.QUEUED}),
}


def may_move(before: State, after: State) -> bool:
    """Whether work in *before* may be said to be in *after*; staying is always allowed."""
    return before is after or after in TRANSITIONS[before]
