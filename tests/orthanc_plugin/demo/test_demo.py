"""The demo's ends without a result; its good end is `make demo` itself."""

import subprocess
import sys
from pathlib import Path


def test_a_folder_without_dicom_is_one_clear_line_and_exit_1(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "orthanc_plugin.demo", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    first = result.stdout.splitlines()[0]
    assert first.startswith("demo failed: ")
    assert "Traceback" not in result.stdout + result.stderr
