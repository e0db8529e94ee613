"""Damaged studies end in volumes or in our errors; ``make fuzz`` tries many more of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[3]
CASES_A_PROCESS = 500
SECONDS_A_PROCESS = 500


def test_damaged_studies_end_in_volumes_or_in_our_errors(pytestconfig: pytest.Config, tmp_path: Path):
    cases, seed = pytestconfig.getoption("fuzz_cases"), pytestconfig.getoption("fuzz_seed")
    for first in range(0, cases, CASES_A_PROCESS):
        _read_damaged(seed, first, min(CASES_A_PROCESS, cases - first), tmp_path)


def _read_damaged(seed: int, first: int, count: int, folder: Path) -> None:
    """In a process of its own, where a decoder that crashes or hangs is seen as well."""
    child = subprocess.run(
        [sys.executable, TESTS / "fuzz" / "reading.py", *map(str, (seed, first, count)), folder],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "support")))},
        capture_output=True,
        timeout=SECONDS_A_PROCESS,
        check=False,
    )
    case = (folder / "case").read_text() if (folder / "case").exists() else "none"
    assert child.returncode == 0, (
        f"seed {seed}, case {case}: the reader ended with {child.returncode}\n{child.stderr.decode()[-3000:]}"
    )
