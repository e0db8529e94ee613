import numpy as np
import pydicom
import pytest

from companion_cases import case_key_images, secondary_capture
from conformance_matrix import case_of
from operators.dicom.results.for_people.picture import draw_key_image
from result_cases import PROVENANCE, save


@pytest.fixture(scope="module", params=["CT axial", "MR enhanced, oblique"])
def written(request, tmp_path_factory):
    case = case_of(request.param)
    return case, pydicom.dcmread(save(secondary_capture(case), tmp_path_factory.mktemp("sc")))


def test_the_pixels_are_the_picture(written):
    case, dataset = written
    (image,) = case_key_images(case)
    assert (dataset.PhotometricInterpretation, dataset.SamplesPerPixel) == ("RGB", 3)
    np.testing.assert_array_equal(dataset.pixel_array, np.asarray(draw_key_image(image)))


def test_it_says_what_it_is(written):
    _, dataset = written
    assert dataset.BurnedInAnnotation == "YES"
    assert dataset.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert dataset.ImageComments == PROVENANCE.use_statement
    assert "research use only" in dataset.SeriesDescription
    assert "DateOfSecondaryCapture" not in dataset


def test_it_refers_to_its_slice(written):
    case, dataset = written
    (image,) = case_key_images(case)
    (source,) = dataset.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == case.source.headers[image.slice_index].SOPInstanceUID
    frame = case.source.frame_numbers[image.slice_index] if case.source.multi_frame else None
    assert source.get("ReferencedFrameNumber") == frame
