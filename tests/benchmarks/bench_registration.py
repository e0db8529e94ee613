"""How fast two volumes are aligned: rows of ``build/bench.json``.

    python tests/benchmarks/bench_registration.py [--out build/bench.json]

A phantom of 128 voxels a side, warped smoothly; each side gets the same arrays and is measured once after the other,
because a turn takes tens of seconds. Ours includes the start that needs no good beginning, which convexAdam does not
have. convexAdam needs build/rivals, as ``pip install --no-deps --target build/rivals convexAdam`` puts it there.
"""

import argparse
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "support")]

from benchmarks.registration_accuracy import Case, by_convex_adam, by_itk, by_ours  # noqa: E402
from benchmarks.side_by_side import Row, row, seconds, write_rows  # noqa: E402
from support.registration_cases import bent, blob_volume, body_points  # noqa: E402

SIDE = 128
RIVALS = TESTS.parent / "build" / "rivals"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--side", type=int, default=SIDE)
    arguments = parser.parse_args()
    write_rows(_rows(arguments.side), arguments.out)


def _rows(side: int) -> Iterator[Row]:
    shape, spacing = (side, side, side), 170.0 / side
    fixed, moving = (blob_volume(*seen, shape=shape, spacing=spacing) for seen in ((bent,), ()))
    case = Case("phantom", "warp", fixed, moving, ("CT", "CT"), bent)
    found: dict[str, object] = {}

    def timed(name: str, run: Callable[[], object]) -> float:
        return seconds(lambda: found.update({name: run()}))

    # What is imported and compiled once does not count.
    small = [blob_volume(*seen, shape=(24, 24, 24), spacing=7.0) for seen in ((bent,), ())]
    by_ours(Case("small", "warp", small[0], small[1], ("CT", "CT"), bent), 24, None)
    ours = timed("ours", lambda: by_ours(case, side, None)[0])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    rivals: dict[str, Callable[[], object]] = {}
    if (RIVALS / "convexAdam").is_dir():
        rivals["convexAdam"] = lambda: by_convex_adam(case)
    rivals["SimpleITK B-spline"] = lambda: by_itk(case, deformable=True)
    for name, run in rivals.items():
        theirs = timed(name, run)
        errors = [_median_voxels(found[key], spacing) for key in ("ours", name)]
        detail = (
            f"one turn each; median error {errors[0]:.2f} against {errors[1]:.2f} voxels; "
            f"{torch.get_num_threads()} threads, ours at most {memory:.1f} GB"
        )
        yield row(f"registration of {side} x {side} x {side} voxels", ours, name, theirs, detail=detail)


def _median_voxels(found: object, spacing: float) -> float:
    points = body_points(6.0)
    assert callable(found)
    return float(np.median(np.linalg.norm(found(points) - bent(points), axis=1)) / spacing)


if __name__ == "__main__":
    main()
