from dataclasses import replace

from operators.domain.reading import SeriesReading, StudyReading
from phantoms import SeriesSpec, build_source_series
from result_cases import build_case, reading_of


def test_a_step_reads_each_series_of_the_study_in_its_order():
    cases = [build_case(build_source_series(SeriesSpec(series=name))) for name in ("first", "second")]
    reading = reading_of(cases).with_each(lambda series: replace(series, measurements=series.measurements[:1]))
    assert reading.sources == tuple(case.source for case in cases)
    assert [item.series_instance_uid for item in reading.measurements] == [
        case.source.series_instance_uid for case in cases
    ]
    assert reading.findings == (*cases[0].findings, *cases[1].findings)


def test_a_series_that_was_not_segmented_has_no_entry_among_the_segments():
    case = build_case(build_source_series(SeriesSpec()))
    unread = SeriesReading(case.source)
    assert StudyReading((unread, *reading_of([case]).current)).segments == (case.segments,)
