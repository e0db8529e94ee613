from io import BytesIO

from pydicom import Dataset, dcmread

from orthanc_plugin.archive.delivery import undated
from phantoms import SeriesSpec, build_datasets


def encoded(**changes: str) -> bytes:
    dataset = build_datasets(SeriesSpec(shape=(4, 8, 8)))[0]
    item = Dataset()
    item.update({"ObservationDateTime": "20260131120000"})
    dataset.ContentSequence = [item]
    dataset.ContentDate, dataset.ContentTime = "20260131", "120000"
    for keyword, value in changes.items():
        setattr(item if keyword == "ObservationDateTime" else dataset, keyword, value)
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def test_dates_at_every_depth_do_not_count() -> None:
    later = encoded(ContentDate="20260201", ContentTime="0900", ObservationDateTime="20260201090000")
    assert later != encoded()
    assert undated(later) == undated(encoded())
    assert dcmread(BytesIO(undated(later))).ContentDate == ""


def test_everything_else_counts() -> None:
    assert undated(encoded(SeriesDescription="other")) != undated(encoded())
    pixels = dcmread(BytesIO(encoded())).PixelData
    changed = bytes([pixels[0] ^ 1]) + pixels[1:]
    assert undated(encoded().replace(pixels, changed)) != undated(encoded())
