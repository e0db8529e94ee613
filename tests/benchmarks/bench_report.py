"""A report of 200 findings on 300 slices, written and read: ours against highdicom's plain use, the same content.

Plain use is ``MeasurementReport`` with its own image library, as highdicom's documentation shows it.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import highdicom as hd
import pydicom
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "support")]

from benchmarks.side_by_side import Row, compare, row, write_rows  # noqa: E402
from operators.dicom.results.report.measurement_groups import GroupContext, finding_group  # noqa: E402
from phantoms import SeriesSpec, build_source_series  # noqa: E402
from result_cases import PROVENANCE, RUN, Case, build_case, save  # noqa: E402

NUM_FINDINGS, NUM_SLICES = 200, 300


class Reports:
    """Both ways to write one and the same case."""

    @cached_property
    def case(self) -> Case:
        spec = SeriesSpec(shape=(NUM_SLICES, 32, 32), slice_spacing=1.0)
        case = build_case(build_source_series(spec))
        present = replace(case.findings[0], localisation=None)
        findings = tuple(replace(present, name=f"finding {number}") for number in range(NUM_FINDINGS))
        return replace(case, findings=findings)

    def ours(self) -> Dataset:
        return self.case.report()

    def plain(self) -> Dataset:
        source = self.case.source
        context = GroupContext.of(self.case.reading, RUN)
        observer = hd.sr.ObservationContext(observer_device_context=PROVENANCE.device_observer())
        report = hd.sr.MeasurementReport(
            observation_context=observer,
            procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
            imaging_measurements=[finding_group(finding, context) for finding in self.case.findings],
            referenced_images=source.headers,
        )
        dataset: Dataset = hd.sr.Comprehensive3DSR(
            evidence=source.headers,
            content=report,
            series_instance_uid=generate_uid(),
            series_number=1,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer=PROVENANCE.manufacturer,
        )
        return dataset


def rows(folder: Path) -> Iterator[Row]:
    reports = Reports()
    ours, plain = folder / "ours", folder / "plain"
    ours.mkdir(parents=True, exist_ok=True)
    plain.mkdir(exist_ok=True)
    what = f"SR of {NUM_FINDINGS} findings on {NUM_SLICES} slices"
    yield compare(
        f"{what}, written",
        lambda: save(reports.ours(), ours),
        "highdicom MeasurementReport",
        lambda: save(reports.plain(), plain),
        repeats=3,
    )
    files = ours / "SR.dcm", plain / "SR.dcm"
    for reader, read in (("pydicom", _read_all), ("highdicom", hd.sr.srread)):
        yield compare(
            f"{what}, read by {reader}",
            lambda read=read: read(files[0]),
            "highdicom MeasurementReport",
            lambda read=read: read(files[1]),
            repeats=3,
        )
    sizes = [path.stat().st_size / 1e6 for path in files]
    yield row(f"{what}, size", sizes[0], "highdicom MeasurementReport", sizes[1], detail="one file", unit="MB")


def _read_all(path: Path) -> None:
    """Every element parsed: pydicom leaves sequences alone until they are asked for."""
    for _ in pydicom.dcmread(path).iterall():
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    out = parser.parse_args().out
    write_rows(rows(out.parent / "bench_report"), out)
