"""How fast volumes change their grid and slices become the encoder's input: rows of ``build/bench.json``.

    python tests/benchmarks/bench_resampling.py [--out build/bench.json]

Ours and the rival's take turns, warm; medians count. The row against MONAI needs MONAI in build/rivals, as
``pip install --no-deps --target build/rivals monai`` puts it there; the rows of a GPU need one.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import scipy.ndimage
import torch

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "support")]

from benchmarks.side_by_side import REPEATS, Row, compare, row, seconds, write_rows  # noqa: E402
from operators.domain.features import EncoderInputSettings  # noqa: E402
from operators.domain.geometry import Geometry  # noqa: E402
from operators.domain.volume import Volume  # noqa: E402
from operators.imaging.array_module import CPU, ArrayModule, select_array_module  # noqa: E402
from operators.imaging.fused_encoder_input import prepare_block  # noqa: E402
from operators.imaging.resampling import resample  # noqa: E402

RIVALS = TESTS.parent / "build" / "rivals"
SOURCE = Geometry(np.diag([2.0, 0.75, 0.75, 1.0]), (128, 512, 512))
ISOTROPIC = Geometry(np.diag([1.5, 1.5, 1.5, 1.0]), (171, 256, 256))
BLOCK = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    write_rows(_rows(), parser.parse_args().out)


def _rows() -> Iterator[Row]:
    volume = _anatomy()
    for order in (1, 3):
        yield _against_scipy("0.75 x 0.75 x 2 to 1.5 mm", volume, ISOTROPIC, order)
    for order in (1, 3):
        yield _against_scipy("oblique", volume, _oblique(), order)
    if (RIVALS / "monai").is_dir():
        yield _against_monai(volume)
    module = select_array_module("auto")
    if module is not CPU:
        yield from _gpu_rows(module, volume)


def _anatomy() -> Volume:
    """Noise with the smoothness of a CT, in HU."""
    noise = np.random.default_rng(0).normal(size=SOURCE.shape).astype(np.float32)
    return Volume(scipy.ndimage.gaussian_filter(noise, 1.0) * 3000, SOURCE)


def _oblique() -> Geometry:
    """Turned by 0.2 rad about two axes, wholly inside the source."""
    c, s = np.cos(0.2), np.sin(0.2)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) * 1.2
    shape = (100, 160, 160)
    affine[:3, 3] = SOURCE.positions(np.array([63.5, 255.5, 255.5])) - affine[:3, :3] @ (np.array(shape) - 1) / 2
    return Geometry(affine, shape)


def _against_scipy(name: str, volume: Volume, target: Geometry, order: int) -> Row:
    transform = volume.geometry.index_transform_to(target)

    def rival() -> np.ndarray:
        return scipy.ndimage.affine_transform(
            volume.array, transform[:3, :3], transform[:3, 3], output_shape=target.shape, order=order, mode="nearest"
        )

    def ours() -> np.ndarray:
        return resample(volume, target, order=order).array

    title = f"{SOURCE.shape} to {target.shape} voxels, {name}, order {order}"
    measured = compare(title, ours, "scipy.ndimage.affine_transform", rival, repeats=3)
    return _with_difference(measured, ours(), rival())


def _against_monai(volume: Volume) -> Row:
    """In its own process; the times are taken inside, imports left out."""
    script, times, ours = Path(__file__).parent / "monai_spacing.py", [], []
    with TemporaryDirectory() as scratch:
        given, made = Path(scratch) / "volume.npz", Path(scratch) / "result.npz"
        np.savez(given, array=volume.array, affine=SOURCE.affine, spacing=ISOTROPIC.spacing)
        command = [sys.executable, "-W", "ignore", script, given, made]
        for _ in range(REPEATS):
            environment = os.environ | {"PYTHONPATH": str(RIVALS)}
            output = subprocess.run(command, capture_output=True, check=True, text=True, env=environment).stdout
            times.append(json.loads(output.splitlines()[-1]))
            result = np.load(made)
            target = Geometry(result["affine"].astype(np.float64), result["array"].shape)
            ours.append(seconds(lambda target=target: resample(volume, target, order=1)))
        theirs = result["array"]
    name = f"{SOURCE.shape} to {theirs.shape} voxels, 0.75 x 0.75 x 2 to 1.5 mm, order 1"
    detail = f"medians of {REPEATS} turns, warm; the rival in its own process, in float32"
    measured = row(name, statistics.median(ours), "MONAI Spacing", statistics.median(times), detail=detail)
    return _with_difference(measured, resample(volume, target, order=1).array, theirs)


def _with_difference(measured: Row, ours: np.ndarray, theirs: np.ndarray) -> Row:
    difference = np.abs(ours - theirs).max()
    return replace(
        measured, detail=f"{measured.detail}; largest difference {difference:.2g} of {np.ptp(theirs):.0f} HU"
    )


def _gpu_rows(module: ArrayModule, volume: Volume) -> Iterator[Row]:
    device = torch.cuda.get_device_name(0)
    for measured in (*_gpu_encoder_input(module), *_gpu_resampling(module, volume)):
        yield replace(measured, device=device)


def _gpu_encoder_input(module: ArrayModule) -> Iterator[Row]:
    """int16 slices to bf16 images of 512 x 512, in blocks as the encoder takes them."""
    xp, settings = module.xp, EncoderInputSettings()
    rng = np.random.default_rng(0)
    ct = module.asarray(rng.integers(-1024, 2000, (8 * BLOCK, 512, 512), dtype=np.int16))

    def blocks(slices: object, prepare: Callable[[object], object]) -> Callable[[], None]:
        def run() -> None:
            for start in range(0, len(slices), BLOCK):
                prepare(slices[start : start + BLOCK])
            xp.cuda.Device().synchronize()

        return run

    ours = blocks(ct, lambda block: prepare_block(block, settings, dtype=torch.bfloat16))
    name = "encoder input of 256 CT slices, int16 to bf16"
    # As many bytes come and go as in ours: two for a pixel, two for an output.
    yield compare(
        name, ours, "physical limit: a copy of the pixels on the device", blocks(ct, lambda block: block.copy())
    )
    mr = module.asarray(rng.integers(0, 2000, (8 * BLOCK, 400, 400), dtype=np.int16))
    ours = blocks(mr, lambda block: prepare_block(block, settings, dtype=torch.bfloat16))
    name = "encoder input of 256 MR slices of 400 x 400, int16 to bf16"
    step = (1.0, 400 / 512, 400 / 512)
    offset = (0.0, (400 / 512 - 1) / 2, (400 / 512 - 1) / 2)

    def by_cupyx(block: object) -> object:
        images = module.ndimage.affine_transform(
            block.astype(np.float32),
            xp.diag(xp.asarray(step)),
            xp.asarray(offset),
            (BLOCK, 512, 512),
            order=3,
            mode="nearest",
        )
        images -= images.mean(axis=(1, 2), keepdims=True)
        images /= images.std(axis=(1, 2), keepdims=True, ddof=1)
        return torch.from_dlpack(images).to(torch.bfloat16)

    identity = torch.eye(2, 3, device="cuda").expand(BLOCK, 2, 3)
    grid = torch.nn.functional.affine_grid(identity, [BLOCK, 1, 512, 512], align_corners=False)

    def by_grid_sample(block: object) -> object:
        images = torch.from_dlpack(block)[:, None].float()
        images = torch.nn.functional.grid_sample(images, grid, "bicubic", "border", align_corners=False)
        images = (images - images.mean((2, 3), keepdim=True)) / images.std((2, 3), keepdim=True)
        return images.to(torch.bfloat16)

    yield compare(name, ours, "cupyx.scipy.ndimage, order 3, and z-score", blocks(mr, by_cupyx))
    yield compare(name, ours, "torch grid_sample, bicubic, and z-score", blocks(mr, by_grid_sample))


def _gpu_resampling(module: ArrayModule, volume: Volume) -> Iterator[Row]:
    xp, target = module.xp, _oblique()
    on_gpu = Volume(module.asarray(volume.array), SOURCE)
    transform = module.asarray(SOURCE.index_transform_to(target))

    def finished(run: Callable[[], object]) -> Callable[[], None]:
        def synchronised() -> None:
            run()
            xp.cuda.Device().synchronize()

        return synchronised

    for order in (1, 3):
        ours = finished(lambda order=order: resample(on_gpu, target, order=order))
        rival = finished(
            lambda order=order: module.ndimage.affine_transform(
                on_gpu.array, transform[:3, :3], transform[:3, 3], target.shape, order=order, mode="nearest"
            )
        )
        name = f"{SOURCE.shape} to {target.shape} voxels, oblique, order {order}, on the GPU"
        yield compare(name, ours, "cupyx.scipy.ndimage.affine_transform", rival)


if __name__ == "__main__":
    main()
