"""Holoscan needs CUDA's runtime library: from the pinned wheel, not from a toolkit that happens to be there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def system_cudart_folders() -> list[Path]:
    listing = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    return sorted({Path(line.split("=> ")[1]).resolve().parent for line in listing.splitlines() if "libcudart" in line})


def python(code: str, *, hidden: list[Path] = []) -> subprocess.CompletedProcess[str]:  # noqa: B006 - never changed
    command = [sys.executable, "-c", code]
    if hidden:
        mounts = " && ".join(f"mount -t tmpfs tmpfs {folder}" for folder in hidden)
        command = ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh", *command]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_the_loaded_library_is_the_wheels():
    code = "import operators.framework; print(open('/proc/self/maps').read())"
    libraries = {line.split()[-1] for line in python(code).stdout.splitlines() if "libcudart" in line}
    assert libraries
    assert all("site-packages/nvidia" in library for library in libraries)


@pytest.mark.skipif(os.geteuid() != 0, reason="hiding a folder needs root")
def test_the_app_starts_with_the_systems_cuda_hidden():
    hidden = system_cudart_folders()
    if hidden:
        # Without our preloading Holoscan must miss the library here, or nothing is hidden.
        assert "libcudart" in python("import holoscan.core", hidden=hidden).stderr
    result = python("import app.application; print('started')", hidden=hidden)
    assert result.stdout == "started\n", result.stderr
