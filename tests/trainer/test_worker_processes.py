import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from trainer.worker_processes import end_with_parent

def work(told):
    Path(told).write_text(str(os.getpid()))
    time.sleep(120)

if __name__ == "__main__":
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=end_with_parent) as pool:
        pool.submit(work, sys.argv[1]).result()
"""


def test_a_worker_ends_as_soon_as_its_parent_is_killed(tmp_path: Path) -> None:
    program, told = tmp_path / "program.py", tmp_path / "worker"
    program.write_text(PROGRAM)
    with subprocess.Popen([sys.executable, str(program), str(told)]) as parent:
        while not (told.is_file() and told.read_text()):
            assert parent.poll() is None
            time.sleep(0.1)
        worker = int(told.read_text())
        assert _runs(worker)
        parent.send_signal(signal.SIGKILL)
    until = time.monotonic() + 30
    while _runs(worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not _runs(worker)


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
        return "Z" not in Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
