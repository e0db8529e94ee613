"""How fast masks become a Segmentation on the disk, beside what others do: rows of ``build/bench.json``.

    python tests/benchmarks/bench_results.py [--out build/bench.json]

1, 20 and 100 organs in 300 slices of 512 x 512: ellipsoids at fixed places, each through a quarter of the slices (one
alone: through all), none over another. Ours gets the masks and ends with a file that is synced, digested twice and
checked. highdicom gets the same masks, stacked as it wants them, and once more the label map that they were cut from;
it ends with ``save_as``. A stack of 100 masks does not fit beside the masks in 24 GiB, so there is the label map only.
dcmqi gets the label map as NRRD and the slices as files. Measurements take turns after a first one that does not count.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import SimpleITK
from numpy.typing import NDArray

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "support")]

from benchmarks.side_by_side import Row, compare, row, seconds, write_rows  # noqa: E402
from operators.dicom.results.codes import coded_concept  # noqa: E402
from operators.dicom.results.output_file import write_dataset  # noqa: E402
from operators.dicom.results.segmentation.object import build_segmentation  # noqa: E402
from operators.dicom.volumes.source_series import SourceSeries  # noqa: E402
from operators.domain.concepts import SEGMENTS  # noqa: E402
from operators.domain.segment import Segment, SeriesSegments  # noqa: E402
from phantoms import SeriesSpec, build_datasets, build_source_series, save_series  # noqa: E402
from result_cases import HEADS, IDENTITY, PROVENANCE, RUN, highdicom_equipment  # noqa: E402

SHAPE = (300, 512, 512)
TYPES = ("BINARY", "LABELMAP")
MOST_STACKED = 20
REPEATS = 3
SPEC = SeriesSpec(shape=(SHAPE[0], 4, 4), slice_spacing=1.0)
CATEGORY, TYPE = SEGMENTS["lung"]


def main() -> None:
    arguments = _arguments()
    if arguments.peak:
        sys.stdout.write(json.dumps(_peak_beside_masks(*arguments.peak)))
        return
    with TemporaryDirectory() as scratch:
        write_rows(_rows(Path(scratch)), arguments.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def _rows(scratch: Path) -> Iterator[Row]:
    for count in (1, 20, 100):
        study = _study(count)
        for kind in TYPES:
            yield from _writing(study, kind, scratch)
    yield from _memory()


@dataclass(frozen=True)
class _Study:
    """count : organs; labels : (D, H, W) uint8"""

    source: SourceSeries
    labels: NDArray[np.uint8]
    segments: SeriesSegments

    @property
    def count(self) -> int:
        return len(self.segments.segments)

    def write(self, kind: Any, folder: Path) -> Path:
        dataset = build_segmentation(self.source, self.segments, run=RUN, segmentation_type=kind)
        return write_dataset(dataset, folder, source=self.source.headers[0]).path

    def write_by_highdicom(self, kind: str, folder: Path, *, from_masks: bool = False) -> Path:
        stack = [segment.mask for segment in self.segments.segments]
        dataset = hd.seg.Segmentation(
            source_images=self.source.headers,
            pixel_array=np.stack(stack, axis=-1, dtype=np.uint8) if from_masks else self.labels,
            segmentation_type=kind,
            segment_descriptions=[_description(segment) for segment in self.segments.segments],
            series_instance_uid="1.2.3",
            series_number=1,
            sop_instance_uid="1.2.4",
            instance_number=1,
            **highdicom_equipment(),
        )
        dataset.save_as(folder / "highdicom.dcm")
        return folder / "highdicom.dcm"


def _study(count: int) -> _Study:
    labels = _organs(count)
    small = build_source_series(SPEC)
    for header in small.headers:
        header.Rows, header.Columns = SHAPE[1:]
    geometry = type(small.volume.geometry)(small.volume.geometry.affine, SHAPE)
    # Only the grid of the volume is looked at, so it takes no memory.
    volume = type(small.volume)(np.broadcast_to(np.float32(0), SHAPE), geometry)
    source = SourceSeries(small.series_instance_uid, "CT", "benchmark", volume, small.headers, "0" * 64)
    segments = tuple(_segment(number, labels == number) for number in range(1, count + 1))
    return _Study(source, labels, SeriesSegments(source.series_instance_uid, geometry, segments))


def _organs(count: int) -> NDArray[np.uint8]:
    labels = np.zeros(SHAPE, np.uint8)
    rng = np.random.default_rng(7)
    for number in range(1, count + 1):
        centre = rng.uniform(0.15, 0.85, 3) * SHAPE if count > 1 else np.array(SHAPE) / 2
        radii = np.array([SHAPE[0] / (8 if count > 1 else 2), 60.0, 40.0])
        box = tuple(slice(max(0, int(c - r)), int(c + r) + 2) for c, r in zip(centre, radii, strict=True))
        places = np.ogrid[tuple(slice(b.start, min(b.stop, size)) for b, size in zip(box, SHAPE, strict=True))]
        inside = sum(((p - c) / r) ** 2 for p, c, r in zip(places, centre, radii, strict=True)) <= 1.0
        part = labels[box]
        part[inside & (part == 0)] = number
    return labels


def _segment(number: int, mask: NDArray[np.bool_]) -> Segment:
    name = f"organ {number}"
    uid = IDENTITY.tracking_uid(SPEC.series_instance_uid, "organs", name)
    return Segment(number, name, CATEGORY, TYPE, "organs", name, uid, mask)


def _description(segment: Segment) -> hd.seg.SegmentDescription:
    description = hd.seg.SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=coded_concept(segment.category),
        segmented_property_type=coded_concept(segment.type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=PROVENANCE.segment_algorithm(HEADS["organs"]),
        tracking_uid=segment.tracking_uid,
        tracking_id=segment.tracking_id,
        display_color=hd.color.CIELabColor(50.0, 0.0, 0.0),
    )
    description.SegmentDescription = PROVENANCE.use_statement
    return description


def _writing(study: _Study, kind: str, scratch: Path) -> Iterator[Row]:
    name = f"SEG {kind}, {study.count} classes in {SHAPE[0]} slices"
    ours, rival = study.write(kind, scratch), study.write_by_highdicom(kind, scratch)
    for source in ("masks", "label map") if study.count <= MOST_STACKED else ("label map",):
        yield compare(
            f"{name}, built and written",
            lambda: study.write(kind, scratch),
            f"highdicom from {source}",
            lambda source=source: study.write_by_highdicom(kind, scratch, from_masks=source == "masks"),
            repeats=REPEATS,
        )
    frames = int(pydicom.dcmread(ours, stop_before_pixels=True).NumberOfFrames)
    size = {"unit": "MB", "detail": f"{frames} frames"}
    yield row(f"{name}, size", ours.stat().st_size / 1e6, "highdicom", rival.stat().st_size / 1e6, **size)
    yield compare(
        f"{name}, read by highdicom",
        lambda: _read(ours),
        "the file of highdicom",
        lambda: _read(rival),
        repeats=REPEATS,
    )
    yield compare(
        f"{name}, read by pydicom",
        lambda: pydicom.dcmread(ours).pixel_array,
        "the file of highdicom",
        lambda: pydicom.dcmread(rival).pixel_array,
        repeats=REPEATS,
    )
    yield from _beside_dcmqi(study, kind, scratch, name)


def _read(path: Path) -> Any:
    """Every segment on one grid."""
    return hd.seg.segread(path).get_volume(combine_segments=True, skip_overlap_checks=True).array


def _beside_dcmqi(study: _Study, kind: str, scratch: Path, name: str) -> Iterator[Row]:
    slices, labels, meta = scratch / "slices", scratch / "labels.nrrd", scratch / "meta.json"
    if not slices.exists():
        save_series(_datasets(study), slices)
    image = SimpleITK.GetImageFromArray(study.labels)
    spacing = study.source.volume.geometry.spacing[::-1]
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(study.source.volume.geometry.affine[:3, 3].tolist())
    SimpleITK.WriteImage(image, str(labels), useCompression=False)
    meta.write_text(json.dumps(_dcmqi_meta(study)))
    command = [Path(sys.executable).with_name("itkimage2segimage"), "--inputImageList", labels]
    command += ["--inputDICOMDirectory", slices, "--inputMetadata", meta, "--outputDICOM", scratch / "dcmqi.dcm"]
    command += ["--skip", "1", "--segmentationType", kind.lower()]

    def run() -> None:
        subprocess.run(command, check=True, capture_output=True)

    run()
    rival = seconds(run)
    ours = seconds(lambda: study.write(kind, scratch))
    detail = "one turn, warm; dcmqi in its own process"
    yield row(f"{name}, built and written", ours, "dcmqi itkimage2segimage", rival, detail=detail)


def _datasets(study: _Study) -> list[pydicom.Dataset]:
    datasets = build_datasets(SPEC)
    for dataset in datasets:
        dataset.Rows, dataset.Columns = SHAPE[1:]
        dataset.PixelData = bytes(2 * SHAPE[1] * SHAPE[2])
    return datasets


def _dcmqi_meta(study: _Study) -> dict[str, Any]:
    def code(concept: Any) -> dict[str, str]:
        return {"CodeValue": concept.value, "CodingSchemeDesignator": concept.scheme, "CodeMeaning": concept.meaning}

    return {
        "ContentCreatorName": "Bench",
        "SeriesDescription": "Bench",
        "SeriesNumber": "1",
        "InstanceNumber": "1",
        "segmentAttributes": [
            [
                {
                    "labelID": segment.number,
                    "SegmentLabel": segment.label,
                    "SegmentDescription": segment.label,
                    "SegmentAlgorithmType": "AUTOMATIC",
                    "SegmentAlgorithmName": "bench",
                    "SegmentedPropertyCategoryCodeSequence": code(segment.category),
                    "SegmentedPropertyTypeCodeSequence": code(segment.type),
                    "recommendedDisplayRGBValue": [255, 0, 0],
                }
                for segment in study.segments.segments
            ]
        ],
    }


def _memory() -> Iterator[Row]:
    for kind in TYPES:
        ours, rival = (_peak(kind, writer) for writer in ("ours", "highdicom"))
        detail = "largest resident set less that of the masks and imports, in its own process; highdicom from masks"
        name = f"SEG {kind}, 3 classes in {SHAPE[0]} slices, peak memory beside the masks'"
        yield row(name, ours / 2**20, "highdicom", rival / 2**20, unit="MiB", detail=detail)


def _peak(kind: str, writer: str) -> float:
    command = [sys.executable, "-W", "ignore", __file__, "--peak", kind, writer]
    return float(json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout))


def _peak_beside_masks(kind: str, writer: str) -> int:
    study = _study(3)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    before = _peak_bytes()
    with TemporaryDirectory() as scratch:
        if writer == "highdicom":
            study.write_by_highdicom(kind, Path(scratch), from_masks=True)
        else:
            study.write(kind, Path(scratch))
    return _peak_bytes() - before


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
