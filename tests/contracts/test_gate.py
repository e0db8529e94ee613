"""What decides about a landing is the checks and the tests, and nothing less."""

from pathlib import Path

GATE = Path(__file__).parents[2] / ".ci/run"


def test_the_gate_checks_and_tests_and_stops_at_the_first_fault() -> None:
    lines = [line for line in GATE.read_text().splitlines() if not line.startswith("#")]
    assert lines == ["set -eu", 'cd "$(dirname "$0")/.."', "make check", "make test"]
