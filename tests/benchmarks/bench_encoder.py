"""How fast slices become features, beside other people's models: rows of ``build/bench.json``.

    python tests/benchmarks/bench_encoder.py [--out build/bench.json] [--slices 2000]

Random weights at the published B's shape, one machine, turns taken side by side, medians. The memory row encodes
*slices* slices of 512 x 512 in a process of its own with one layer of g's width. GPU rows are there where a GPU is.
"""

import argparse
import copy
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "support")]

from benchmarks.side_by_side import Row, compare, row, write_rows  # noqa: E402
from encoder_cases import CURIA_2_B, CURIA_2_G, CURIA_2_L, random_input  # noqa: E402
from operators.domain.features import EncoderInputSettings  # noqa: E402
from operators.domain.geometry import Geometry  # noqa: E402
from operators.domain.volume import Volume  # noqa: E402
from operators.encoder.features import Encoder  # noqa: E402
from operators.encoder.snapshot import Snapshot  # noqa: E402
from operators.encoder.torchvision_schemas import define_missing_schemas  # noqa: E402
from operators.encoder.vision_transformer import EncoderConfig, build_vision_transformer  # noqa: E402
from operators.imaging.encoder_input import make_encoder_input  # noqa: E402

CPU_SLICES = 2
GPU_SHAPES = {"B": CURIA_2_B, "L": CURIA_2_L, "g": CURIA_2_G}
MATRIX = 8192
PASSES = 10
"""Forward passes in one turn on a GPU, so that its launch does not count."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--slices", type=int, default=0, help="slices for the memory row; 0 leaves it out")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        sys.stdout.write(json.dumps(_peak_memory(arguments.peak)))
        return
    write_rows(_rows(arguments.slices), arguments.out)


def _rows(slices: int) -> Iterator[Row]:
    yield from _cpu_rows()
    if slices:
        yield _memory_row(slices)
    if torch.cuda.is_available():
        for name, config in GPU_SHAPES.items():
            yield from _gpu_rows(name, config)


def _cpu_rows() -> Iterator[Row]:
    snapshot = _snapshot(CURIA_2_B)
    encoder_input = random_input(CURIA_2_B.image_size, slices=CPU_SLICES)
    images = torch.cat([torch.from_numpy(block) for block in encoder_input.blocks(0, CPU_SLICES)])
    encoders = {name: Encoder(snapshot, precision=name) for name in ("float32", "bfloat16")}
    name = f"Curia-2 B on the CPU, {CPU_SLICES} slices of 512 x 512"
    rival = "transformers Dinov2Model, float32"
    reference = _transformers_model(CURIA_2_B)

    def reference_pass() -> None:
        with torch.inference_mode():
            reference(images)

    for precision, encoder in encoders.items():
        yield compare(
            f"{name}, {precision}", lambda e=encoder: e.encode(encoder_input), rival, reference_pass, repeats=3
        )


def _memory_row(slices: int) -> Row:
    command = [sys.executable, "-W", "ignore", __file__, "--peak", str(slices)]
    peak = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return row(
        f"memory above the weights, {slices} slices, one layer of g's width",
        peak["gigabytes"],
        "goal",
        4.0,
        unit="GB",
        detail=f"volume ({peak['volume_gigabytes']:.2f}) and program ({peak['program_gigabytes']:.2f}) included",
    )


def _peak_memory(slices: int) -> dict[str, float]:
    """Resident at the most while a long series is encoded, without the weights."""
    config = CURIA_2_G.model_copy(update={"num_hidden_layers": 1})
    encoder = Encoder(_snapshot(config))
    weights = sum(parameter.nbytes for parameter in encoder.replicas[0].model.parameters())
    program = _peak_bytes() - weights
    rng = np.random.default_rng(0)
    array = np.empty((slices, 512, 512), np.float32)
    for image in array:
        image[:] = rng.integers(-1024, 2000, (512, 512))
    volume = Volume(array, Geometry(np.diag([0.5, 0.7, 0.7, 1.0]), array.shape))
    with tempfile.TemporaryDirectory() as scratch:
        encoder.encode(make_encoder_input(volume, EncoderInputSettings()), scratch=Path(scratch))
    return {
        "gigabytes": (_peak_bytes() - weights) / 1e9,
        "volume_gigabytes": array.nbytes / 1e9,
        "program_gigabytes": program / 1e9,
    }


def _gpu_rows(name: str, config: EncoderConfig) -> Iterator[Row]:
    """Images that lie on the GPU to features that lie there, in the encoder's own batch; seconds of a slice."""
    snapshot = _snapshot(config)
    encoder = Encoder(snapshot, devices=("cuda:0",))
    replica, batch_size = encoder.replicas[0], encoder.batch_size
    images = torch.randn(batch_size, 1, config.image_size, config.image_size, device="cuda", dtype=torch.bfloat16)
    eager = copy.deepcopy(replica.model)
    compiled = torch.compile(eager.forward_features, mode="max-autotune")
    ours = _passes(lambda: replica.forward(images, full_batch=batch_size, blocks=0))
    title = f"Curia-2 {name} at 512, bfloat16, batch of {batch_size}: {PASSES} passes"
    device = torch.cuda.get_device_name()
    for rival, forward in (("timm eager", eager.forward_features), ("torch.compile of timm", compiled)):
        measured = compare(title, ours, rival, _passes(lambda forward=forward: forward(images)))
        yield row(title, measured.ours, rival, measured.rival, detail=measured.detail, device=device)
    yield _flops_row(title, config, ours, batch_size, device)


def _passes(forward: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        with torch.inference_mode():
            for _ in range(PASSES):
                forward()
        torch.cuda.synchronize()

    return run


def _flops_row(title: str, config: EncoderConfig, ours: Callable[[], None], batch_size: int, device: str) -> Row:
    """Seconds that the passes would take at the rate of one large matrix product, against those they took."""
    first, second = (torch.randn(MATRIX, MATRIX, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    product = compare("", ours, "", _passes(lambda: first @ second))
    ideal = product.rival * batch_size * _flops_of_a_slice(config) / (2 * MATRIX**3)
    detail = (
        f"a ratio of 0.5 is the goal; the product reaches {2 * MATRIX**3 * PASSES / product.rival / 1e12:.0f} TFLOP/s"
    )
    return row(title, product.ours, f"rate of an {MATRIX}-cubed bfloat16 product", ideal, detail=detail, device=device)


def _flops_of_a_slice(config: EncoderConfig) -> float:
    """Of the matrix products: patches, queries, keys, values, attention, projection, FFN."""
    tokens, width = 1 + config.grid_size**2, config.hidden_size
    block = 2 * tokens * (4 * width**2 + 3 * width * config.ffn_width) + 4 * tokens**2 * width
    return config.num_hidden_layers * block + 2 * tokens * width * config.patch_size**2 * config.num_channels


def _snapshot(config: EncoderConfig) -> Snapshot:
    torch.manual_seed(0)
    state = {name: 0.02 * torch.randn(t.shape) for name, t in build_vision_transformer(config).state_dict().items()}
    return Snapshot(config, EncoderInputSettings(image_size=config.image_size), state, "0" * 64)


def _transformers_model(config: EncoderConfig) -> torch.nn.Module:
    define_missing_schemas()
    from transformers import Dinov2Config, Dinov2Model

    return Dinov2Model(Dinov2Config(**config.model_dump() | {"mlp_ratio": int(config.mlp_ratio)})).eval()


def _peak_bytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
