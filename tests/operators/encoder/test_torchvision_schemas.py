import subprocess
import sys

PROGRAM = """
from operators.encoder.torchvision_schemas import define_missing_schemas
define_missing_schemas()
define_missing_schemas()
import torch, torchvision
assert hasattr(torch.ops.torchvision, "nms")
"""


def test_torchvision_imports_after_definition_and_a_second_call_does_nothing() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], check=True, timeout=60)
