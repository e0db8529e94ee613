"""The one door to MONAI Deploy and Holoscan.

Holoscan links to CUDA's runtime library even where no GPU is used, and its own search path does not cover the wheel
that carries it; so the library is loaded by name before Holoscan is. That makes this import a side effect, the only
one in the project, and is why nothing else may import ``monai.deploy`` or ``holoscan``.
"""

import warnings

from cuda.pathfinder import load_nvidia_dynamic_lib

load_nvidia_dynamic_lib("cudart")

with warnings.catch_warnings():
    # Holoscan recommends a 32 MB stack for pipelines with deep C++ operators; ours are Python.
    warnings.filterwarnings("ignore", message="Current stack size", category=RuntimeWarning)
    from holoscan.logger import LogLevel, set_log_level
    from monai.deploy.conditions import CountCondition
    from monai.deploy.core import Application, ExecutionContext, Operator, OperatorSpec


def silence_framework() -> None:
    """Keep Holoscan's log off the terminal; the environment's HOLOSCAN_LOG_LEVEL has the last word."""
    set_log_level(LogLevel.OFF)


__all__ = [
    "Application",
    "CountCondition",
    "ExecutionContext",
    "Operator",
    "OperatorSpec",
    "silence_framework",
]
