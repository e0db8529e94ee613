"""How accurately real scans are aligned, beside the rivals: the table and figure of docs/registration.md.

    python tests/benchmarks/registration_accuracy.py DATA [--points 64] [--only NAME ...] [--encoders]

DATA is the folder with the public data sets. Every method gets the same two arrays. Known moves and warps: the fixed
image is the scan seen through the known map, with fresh noise of 1 % of the range on both; the error is measured at
random places within the body. Real pairs have no truth: the correlation of grey values within the body is given.
The rivals run in their own defaults; convexAdam needs build/rivals, as make bench-registration puts it
there. What stands in the file of results already is not measured again.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
sys.path.append(str(ROOT / "build" / "rivals"))

from operators.domain.features import EncoderInputSettings, FeatureVolume  # noqa: E402
from operators.domain.geometry import Geometry  # noqa: E402
from operators.domain.volume import Volume  # noqa: E402
from operators.encoder.features import Encoder  # noqa: E402
from operators.encoder.snapshot import Snapshot, read_snapshot  # noqa: E402
from operators.imaging.encoder_input import make_encoder_input  # noqa: E402
from operators.registration.alignment import AlignmentSettings, RegistrationInput, align  # noqa: E402
from operators.registration.body import body_mask, normalised  # noqa: E402
from operators.registration.convex_adam import ConvexAdamSettings  # noqa: E402
from trainer.features.random_features import RandomEncoderSettings, random_state  # noqa: E402

Array = NDArray[np.float64]
Map = Callable[[Array], Array]
"""(..., 3) LPS mm of the fixed image to the moving one's."""
LANDMARKS = 4000
OURS = "ours, MIND"
NOISE = 0.01
WARP_MM = 20.0


@dataclass(frozen=True)
class Case:
    """Two images, and the truth where it is known.

    mask : in the moving image, a structure whose Dice is reported
    unchanged : the pair before the fixed image was warped or moved, where the frame that both lie in is not exact
    """

    name: str
    kind: str
    fixed: Volume
    moving: Volume
    modalities: tuple[str, str]
    truth: Map | None = None
    mask: tuple[Volume, Volume] | None = None
    unchanged: "Case | None" = None

    @cached_property
    def images(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        volumes = (self.fixed, self.moving)
        return tuple(normalised(v.array, m) for v, m in zip(volumes, self.modalities, strict=True))  # type: ignore[return-value]

    @cached_property
    def body(self) -> NDArray[np.bool_]:
        return body_mask(self.images[0], self.modalities[0])

    @cached_property
    def landmarks(self) -> Array:
        """(N, 3) LPS mm within the fixed body whose tissue the moving image shows."""
        places = np.argwhere(self.body)
        places = places[np.random.default_rng(0).permutation(len(places))[: 3 * LANDMARKS]]
        positions = self.fixed.geometry.positions(places)
        if self.truth is not None:
            there = self.moving.geometry.indices(self.truth(positions))
            positions = positions[((there >= 1) & (there <= np.array(self.moving.geometry.shape) - 2)).all(axis=1)]
        return positions[:LANDMARKS]


# --- cases -----------------------------------------------------------------------------------------------------------


def cases(data: Path, points: int) -> Iterator[tuple[str, Callable[[], Case]]]:
    """Names, and how each is made: only what is asked for is read."""
    chest = lambda: isotropic(dicom(data / "ct_chest_lidc0314_full"), points)  # noqa: E731
    brain = lambda: isotropic(dicom(data / "dev/mr_brain_positions/HFS"), points)  # noqa: E731
    yield "chest CT, warp", lambda: known("chest CT, warp", chest(), "CT", warp_map(WARP_MM, seed=1))
    yield "head MR, warp", lambda: known("head MR, warp", brain(), "MR", warp_map(WARP_MM, seed=2))
    for patient, seed in (("001", 3), ("010", 4)):
        for modality, folder in (("CT", "CT"), ("MR", "MR_T1")):
            name = f"sarcoma {patient} {modality}, warp"
            yield (
                name,
                lambda n=name, p=patient, m=modality, f=folder, s=seed: known(
                    n, isotropic(dicom(data / f"sts/STS_{p}/{f}"), points), m, warp_map(WARP_MM, seed=s)
                ),
            )
    yield "chest CT, rigid", lambda: known("chest CT, rigid", chest(), "CT", move_map((15, -10, 20), (25, -30, 30)))
    yield (
        "head MR, affine",
        lambda: known("head MR, affine", brain(), "MR", move_map((-18, 12, 15), (-30, 25, 20), (1.08, 0.94, 1.03))),
    )
    for patient, seed in (("001", 5), ("005", 6), ("010", 7), ("004", 8), ("014", 9)):
        name = f"sarcoma {patient} CT to MR, warp"
        over = warp_map(WARP_MM, seed=seed)
        yield name, lambda n=name, p=patient, o=over: between_modalities(n, data / f"sts/STS_{p}", points, o)
    for patient in ("010", "004", "014"):
        name = f"sarcoma {patient} CT to MR, rigid"
        over = move_map((12, -8, 18), (25, -20, 30))
        yield name, lambda n=name, p=patient, o=over: between_modalities(n, data / f"sts/STS_{p}", points, o)
    yield "MS patient 01, FLAIR of two dates", lambda: ms_pair(data / "dev/mr_ms_pair_patient01", points)
    yield (
        "head MR, supine and decubitus",
        lambda: Case(
            "head MR, supine and decubitus",
            "real pair",
            brain(),
            isotropic(dicom(data / "dev/mr_brain_positions/HFDR"), points),
            ("MR", "MR"),
        ),
    )
    for patient in ("A002304", "A062055", "A098752"):
        name = f"prior and current slice {patient}"
        yield name, lambda n=name, p=patient: slice_pair(n, data / "dev/ct_prior_current_2d" / p)
    thigh = lambda patient, folder: isotropic(dicom(data / f"sts/STS_{patient}/{folder}"), points)  # noqa: E731
    yield "head MR on chest CT", lambda: wrong("head MR on chest CT", (brain(), "MR"), (chest(), "CT"))
    yield "head MR on thigh MR", lambda: wrong("head MR on thigh MR", (brain(), "MR"), (thigh("001", "MR_T1"), "MR"))
    yield "thigh CT on chest CT", lambda: wrong("thigh CT on chest CT", (thigh("001", "CT"), "CT"), (chest(), "CT"))
    yield "chest CT on thigh CT", lambda: wrong("chest CT on thigh CT", (chest(), "CT"), (thigh("001", "CT"), "CT"))
    yield (
        "a thigh on another's, CT",
        lambda: wrong("a thigh on another's, CT", (thigh("001", "CT"), "CT"), (thigh("010", "CT"), "CT")),
    )


def wrong(name: str, fixed: tuple[Volume, str], moving: tuple[Volume, str]) -> Case:
    """Two that show different people or parts of the body, and must be called failed."""
    return Case(name, "wrong pair", fixed[0], moving[0], (fixed[1], moving[1]))


def dicom(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def isotropic(image: sitk.Image, points: int) -> Volume:
    """About points cubed voxels of equal sides, smoothed as they grow."""
    image = sitk.Cast(image, sitk.sitkFloat32)
    size, spacing = np.array(image.GetSize()), np.array(image.GetSpacing())
    step = float((np.prod(size * spacing) / points**3) ** (1 / 3))
    image = sitk.SmoothingRecursiveGaussian(image, [max(0.4 * step, 0.01)] * 3)
    new = [int(n) for n in np.maximum(np.round(size * spacing / step), 1)]
    image = sitk.Resample(
        image, new, sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), [step] * 3, image.GetDirection()
    )
    return volume_of(image)


def volume_of(image: sitk.Image) -> Volume:
    affine = np.eye(4)
    directions = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, :3] = directions[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    array = sitk.GetArrayFromImage(image).astype(np.float32)
    return Volume(array, Geometry(affine, array.shape))


def image_of(volume: Volume) -> sitk.Image:
    image = sitk.GetImageFromArray(np.asarray(volume.array, np.float32))
    image.SetOrigin([float(x) for x in volume.geometry.affine[:3, 3]])
    image.SetSpacing([float(step) for step in reversed(volume.geometry.spacing)])
    image.SetDirection([float(x) for x in volume.geometry.directions[:, ::-1].ravel()])
    return image


def warp_map(largest_mm: float, seed: int, width_mm: float = 40.0) -> Callable[[Geometry], Map]:
    """A smooth random warp, its largest shift as given; waves of half *width_mm* at the shortest."""

    def over(geometry: Geometry) -> Map:
        rng = np.random.default_rng(seed)
        noise = rng.normal(size=(3, *geometry.shape))
        field = np.stack([ndimage.gaussian_filter(part, width_mm / geometry.spacing) for part in noise])
        field *= largest_mm / np.sqrt((field**2).sum(axis=0)).max()

        def moved(positions: Array) -> Array:
            indices = np.moveaxis(geometry.indices(positions), -1, 0)
            shift = [ndimage.map_coordinates(part, indices, order=1, mode="nearest") for part in field]
            return positions + np.stack(shift, axis=-1)

        return moved

    return over


def move_map(
    degrees: tuple[float, float, float], shift_mm: tuple[float, float, float], scale: tuple[float, ...] = (1, 1, 1)
) -> Callable[[Geometry], Map]:
    def over(geometry: Geometry) -> Map:
        centre = geometry.positions((np.array(geometry.shape) - 1) / 2)
        matrix = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() @ np.diag(scale)
        return lambda positions: (positions - centre) @ matrix.T + centre + np.array(shift_mm)

    return over


def seen_through(volume: Volume, truth: Map, order: int = 3) -> Volume:
    positions = volume.geometry.positions(np.moveaxis(np.indices(volume.geometry.shape), 0, -1))
    indices = np.moveaxis(volume.geometry.indices(truth(positions)), -1, 0)
    empty = float(volume.array.min())
    array = ndimage.map_coordinates(volume.array, indices, order=order, mode="constant", cval=empty)
    return Volume(np.asarray(array, np.float32), volume.geometry)


def cropped(volume: Volume, margin_mm: float) -> Volume:
    """Without a margin on every side, so that the warp shows nothing that the scan does not hold."""
    margin = [int(np.ceil(margin_mm / step)) for step in volume.geometry.spacing]
    array = volume.array[tuple(slice(m, n - m) for m, n in zip(margin, volume.array.shape, strict=True))]
    affine = volume.geometry.affine.copy()
    affine[:3, 3] = volume.geometry.positions(np.array(margin))
    return Volume(array, Geometry(affine, array.shape))


def noisy(volume: Volume, modality: str, seed: int) -> Volume:
    span = 2000.0 if modality == "CT" else float(np.percentile(volume.array, 99.5))
    noise = np.random.default_rng(seed).normal(0, NOISE * span, volume.array.shape)
    return Volume((volume.array + noise).astype(np.float32), volume.geometry)


def known(name: str, volume: Volume, modality: str, over: Callable[[Geometry], Map]) -> Case:
    truth = over(volume.geometry)
    seen = seen_through(volume, truth)
    fixed = noisy(cropped(seen, WARP_MM) if "warp" in name else seen, modality, 1)
    return Case(name, name.split(", ")[1], fixed, noisy(volume, modality, 2), (modality, modality), truth)


def between_modalities(name: str, folder: Path, points: int, over: Callable[[Geometry], Map]) -> Case:
    """The MR is warped or moved, the CT is aligned to it; the tumour goes along.

    The two lie in the frame that the collection gives them, which is some millimetres off (docs/registration.md): so
    each method is held against its own answer for the pair as it was, too.
    """
    ct, mr = isotropic(dicom(folder / "CT"), points), isotropic(dicom(folder / "MR_T1"), points)
    truth = over(mr.geometry)
    tumours = [
        sitk.Resample(sitk.ReadImage(str(folder / f"{which}_mask.nii.gz"), sitk.sitkFloat32), image_of(grid))
        for which, grid in (("CT", ct), ("MR_T1", mr))
    ]
    masks = [Volume(sitk.GetArrayFromImage(mask), grid.geometry) for mask, grid in zip(tumours, (ct, mr), strict=True)]
    seen = [seen_through(mr, truth), seen_through(masks[1], truth, 1)]
    if "warp" in name:
        seen = [cropped(volume, WARP_MM) for volume in seen]
    moving = noisy(ct, "CT", 2)
    unchanged = Case(name, "CT to MR", noisy(mr, "MR", 3), moving, ("MR", "CT"))
    return Case(name, "CT to MR", noisy(seen[0], "MR", 1), moving, ("MR", "CT"), truth, (seen[1], masks[0]), unchanged)


def ms_pair(folder: Path, points: int) -> Case:
    fixed, moving = (
        isotropic(sitk.ReadImage(str(folder / f"study{k}_FLAIR.nii.gz"), sitk.sitkFloat32), points) for k in (1, 2)
    )
    return Case("MS patient 01, FLAIR of two dates", "real pair", fixed, moving, ("MR", "MR"))


def slice_pair(name: str, folder: Path) -> Case:
    volumes = []
    for path in sorted(folder.glob("*.dcm")):
        dataset = pydicom.dcmread(path)
        values = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        rows, columns = (float(x) for x in dataset.PixelSpacing)
        affine = np.array([[0, 0, columns, 0], [0, rows, 0, 0], [5.0, 0, 0, 0], [0, 0, 0, 1]])
        affine[:3, 3] = dataset.ImagePositionPatient
        array = ndimage.uniform_filter(values.astype(np.float32), 2)[::2, ::2]
        affine[:3, 1:3] *= 2
        volumes.append(Volume(array[None], Geometry(affine, (1, *array.shape))))
    return Case(name, "single slices", volumes[0], volumes[1], ("CT", "CT"))


# --- methods ---------------------------------------------------------------------------------------------------------


@dataclass
class Encoders:
    """The embedded encoder and one of the same shape with random weights; each volume is encoded once."""

    made: dict[tuple[str, int], FeatureVolume] = field(default_factory=dict)

    @cached_property
    def encoders(self) -> dict[str, Encoder]:
        embedded = read_snapshot(ROOT / "app/demo_model/encoder")
        state = random_state(embedded.config, RandomEncoderSettings())
        return {
            "embedded": Encoder(embedded),
            "random": Encoder(Snapshot(embedded.config, embedded.input_settings, state, "0" * 64)),
        }

    def features(self, which: str, volume: Volume) -> FeatureVolume:
        key = (which, id(volume))
        if key not in self.made:
            made = make_encoder_input(volume, EncoderInputSettings(image_size=512))
            self.made[key] = self.encoders[which].encode(made)
        return self.made[key]


def identity(case: Case) -> Map:
    if case.fixed.geometry.shape[0] == 1:
        return middle_on_middle(case)
    return lambda positions: positions


def middle_on_middle(case: Case) -> Map:
    middles = [v.geometry.positions((np.array(v.geometry.shape) - 1) / 2) for v in (case.fixed, case.moving)]
    return lambda positions: positions + middles[1] - middles[0]


def by_itk(case: Case, *, deformable: bool) -> Map:
    """Rigid by mutual information on three resolutions; then cubic B-splines of 30 mm, by LBFGS-B, on two."""
    fixed, moving = (
        image_of(Volume(a, v.geometry)) for a, v in zip(case.images, (case.fixed, case.moving), strict=True)
    )
    start = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.2, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, 150)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SetInitialTransform(start, inPlace=True)
    method.Execute(fixed, moving)
    if not deformable:
        return points_through(start)
    mesh = [max(2, round(n * s / 30)) for n, s in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True)]
    spline = sitk.BSplineTransformInitializer(fixed, mesh)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.2, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsLBFGSB(1e-5, 40, 5, 500)
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([1, 0])
    method.SetMovingInitialTransform(start)
    method.SetInitialTransform(spline, inPlace=True)
    method.Execute(fixed, moving)
    return points_through(sitk.CompositeTransform([start, spline]))


def points_through(transform: sitk.Transform) -> Map:
    def moved(positions: Array) -> Array:
        flat = positions.reshape(-1, 3)
        return np.array([transform.TransformPoint(p) for p in flat.tolist()]).reshape(positions.shape)

    return moved


def by_convex_adam(case: Case) -> Map:
    """Its own defaults; it has no affine step and takes two images on one grid."""
    from convexAdam.convex_adam_MIND import convex_adam_pt

    fixed, moving = case.fixed, case.moving
    image = sitk.Resample(image_of(Volume(case.images[1], moving.geometry)), image_of(fixed))
    arrays = case.images[0], sitk.GetArrayFromImage(image)
    found = convex_adam_pt(*arrays, dtype=torch.float32, device=torch.device("cpu"))
    shifts = np.tensordot(fixed.geometry.affine[:3, :3], np.moveaxis(found, -1, 0), axes=1)
    return through_field(shifts, fixed.geometry)


def through_field(shifts: Array, geometry: Geometry) -> Map:
    def moved(positions: Array) -> Array:
        indices = np.moveaxis(geometry.indices(positions), -1, 0)
        return positions + np.stack([ndimage.map_coordinates(s, indices, order=1, mode="nearest") for s in shifts], -1)

    return moved


def by_ours(case: Case, points: int, encoders: Encoders | None, which: str = "") -> tuple[Map, dict[str, float | str]]:
    sides = [
        RegistrationInput(volume, modality, encoders.features(which, volume) if encoders and which else None)
        for volume, modality in zip((case.fixed, case.moving), case.modalities, strict=True)
    ]
    settings = AlignmentSettings(points=points**3, convex_adam=ConvexAdamSettings())
    found = align(sides[0], sides[1], settings=settings, demonstration=True)
    figures: dict[str, float | str] = {
        "transform": found.kind,
        "edges": round(found.quality.edge_agreement_after, 4),
        "verdict": found.verdict,
        "folded": found.quality.folded_share,
    }
    if found.field is None:
        return found.affine.moving_positions, figures
    return through_field(np.asarray(found.field.displacements, float), found.field.geometry), figures


# --- figures ---------------------------------------------------------------------------------------------------------


def figures_of(case: Case, found: Map, unchanged: Map | None = None) -> dict[str, float]:
    """unchanged : what the same method found for the pair before it was warped or moved"""
    figures: dict[str, float] = {}
    positions = case.landmarks
    if case.truth is not None:
        errors = np.linalg.norm(found(positions) - case.truth(positions), axis=1)
        voxel = float(case.fixed.geometry.spacing[-1])
        figures |= {
            "mean_mm": errors.mean(),
            "p95_mm": np.percentile(errors, 95),
            "median_voxels": np.median(errors) / voxel,
        }
        if unchanged is not None:
            expected = unchanged(case.truth(positions))
            figures["again_mm"] = np.linalg.norm(found(positions) - expected, axis=1).mean()
    else:
        fixed = values_at(Volume(case.images[0], case.fixed.geometry), positions)
        moving = values_at(Volume(case.images[1], case.moving.geometry), found(positions))
        figures["correlation"] = np.corrcoef(fixed, moving)[0, 1]
    if case.mask is not None:
        there = case.fixed.geometry.positions(np.argwhere(np.ones(case.fixed.geometry.shape, bool)))
        carried = values_at(case.mask[1], found(there)) > 0.5
        truth = case.mask[0].array.ravel() > 0.5
        figures["dice"] = 2 * (carried & truth).sum() / max(carried.sum() + truth.sum(), 1)
    return {name: round(float(value), 4) for name, value in figures.items()}


def values_at(volume: Volume, positions: Array) -> Array:
    return np.asarray(
        ndimage.map_coordinates(volume.array, volume.geometry.indices(positions).T, order=1, mode="nearest")
    )


def rows_of(
    case: Case, points: int, with_encoders: bool, only: list[str], done: set[str]
) -> Iterator[dict[str, object]]:
    """only : parts of the methods' names, all where empty; done : methods that were measured already"""
    flat, encoders = case.fixed.geometry.shape[0] == 1, Encoders()
    methods: dict[str, Callable[[Case], Map | tuple[Map, dict[str, float | str]]]] = {
        "identity": identity,
        OURS: lambda case: by_ours(case, points, None),
    }
    if not flat and case.kind != "wrong pair":
        methods["SimpleITK rigid"] = lambda case: by_itk(case, deformable=False)
        methods["SimpleITK B-spline"] = lambda case: by_itk(case, deformable=True)
        if (ROOT / "build/rivals/convexAdam").is_dir():
            methods["convexAdam, MIND"] = by_convex_adam
    if with_encoders and not flat and case.kind != "wrong pair":
        for which in ("embedded", "random"):
            methods[f"ours, MIND and {which} encoder"] = lambda case, w=which: by_ours(case, points, encoders, w)
    for name, run in methods.items():
        if name in done or (only and not any(part in name for part in only)):
            continue
        start = time.process_time()
        found, more = _map_and_figures(run(case))
        seconds = time.process_time() - start
        before = _map_and_figures(run(case.unchanged))[0] if case.unchanged else None
        row = {"case": case.name, "kind": case.kind, "method": name, **figures_of(case, found, before), **more}
        yield row | {"cpu_seconds": round(seconds, 1)}


def _map_and_figures(found: Map | tuple[Map, dict[str, float | str]]) -> tuple[Map, dict[str, float | str]]:
    return found if isinstance(found, tuple) else (found, {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--points", type=int, default=64, help="voxels along the side of a cube of the same size")
    parser.add_argument("--only", nargs="*", default=[], help="parts of the names of the cases to run")
    parser.add_argument("--methods", nargs="*", default=[], help="parts of the names of the methods")
    parser.add_argument("--encoders", action="store_true", help="two more rows with the encoder's features")
    parser.add_argument("--out", type=Path, default=Path("build/registration.json"))
    arguments = parser.parse_args()
    for name, make in cases(arguments.data, arguments.points):
        if arguments.only and not any(part in name for part in arguments.only):
            continue
        done = {str(row["method"]) for row in kept(arguments.out) if row["case"] == name}
        for row in rows_of(make(), arguments.points, arguments.encoders, arguments.methods, done):
            keep(row, arguments.out)
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()


def kept(out: Path) -> list[dict[str, object]]:
    return list(json.loads(out.read_text())) if out.exists() else []


def keep(row: dict[str, object], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps([*kept(out), row], indent=1) + "\n")


if __name__ == "__main__":
    main()
