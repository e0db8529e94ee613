from dataclasses import replace

from operators.study_run.journal import RunWarning
from operators.study_run.reading_chain import source_warnings
from phantoms import SeriesSpec, build_source_series


def test_a_reader_is_told_how_a_series_was_read_and_what_results_cannot_take_over() -> None:
    def change(header):
        del header.PatientSex

    source = replace(build_source_series(SeriesSpec(), header=change), remarks=("read with a remark",))
    assert list(source_warnings(source)) == [
        RunWarning("source-remark", "read with a remark"),
        RunWarning(
            "source-value",
            f"series {source.series_instance_uid}: PatientSex is missing in the source and empty in the results",
        ),
    ]
    assert list(source_warnings(build_source_series(SeriesSpec()))) == []
