"""Every kernel compiles for every GPU that we name, by NVRTC, which needs no GPU."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from cupy.cuda import nvrtc

from operators.imaging import kernels


def headers() -> Path:
    (namespace,) = find_spec("nvidia").submodule_search_locations
    return Path(namespace) / "cu13" / "include"


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_120"])
def test_every_kernel_compiles(architecture):
    program = nvrtc.createProgram(kernels.SOURCE, "kernels.cu", (), ())
    for name in kernels.NAMES:
        nvrtc.addNameExpression(program, name)
    options = (f"-arch={architecture}", f"-I{headers()}", *kernels.OPTIONS)
    try:
        nvrtc.compileProgram(program, options)
    except nvrtc.NVRTCError:
        pytest.fail(nvrtc.getProgramLog(program))
    assert nvrtc.getProgramLog(program) == "", "warnings"
    cubin = nvrtc.getCUBIN(program)
    for name in kernels.NAMES:
        assert nvrtc.getLoweredName(program, name).encode() in cubin
