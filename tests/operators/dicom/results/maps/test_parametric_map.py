"""The map is read back by dcmqi and ITK, which share no code with the writer."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK

from companion_cases import evidence_of, parametric_map
from conformance_matrix import case_of
from result_cases import save


@pytest.fixture(scope="module", params=["CT axial", "CT coronal descending", "CT oblique", "MR enhanced, oblique"])
def written(request, tmp_path_factory):
    case = case_of(request.param)
    return case, save(parametric_map(case), tmp_path_factory.mktemp("pm"))


def test_every_token_has_its_probability_at_its_place(written, tmp_path):
    case, path = written
    reader = Path(sys.executable).with_name("paramap2itkimage")
    subprocess.run([reader, "--inputDICOM", path, "--outputDirectory", tmp_path], check=True, capture_output=True)
    image = SimpleITK.ReadImage(str(tmp_path / "pmap.nrrd"))
    array = SimpleITK.GetArrayFromImage(image)
    direction = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    itk_indices = np.stack(np.indices(array.shape), axis=-1)[..., ::-1]
    positions = itk_indices @ direction.T + np.array(image.GetOrigin())
    indices = evidence_of(case).volume.geometry.indices(positions)
    np.testing.assert_allclose(indices, np.rint(indices), atol=1e-3)
    # the case's log odds are four minus the sum of the indices
    expected = 1 / (1 + np.exp(np.rint(indices).sum(axis=-1) - 4.0))
    np.testing.assert_allclose(array, expected, rtol=1e-5)


def test_values_mean_themselves(written):
    _, path = written
    dataset = pydicom.dcmread(path)
    groups = [dataset.SharedFunctionalGroupsSequence[0], *dataset.PerFrameFunctionalGroupsSequence]
    mappings = [group.RealWorldValueMappingSequence[0] for group in groups if "RealWorldValueMappingSequence" in group]
    for mapping in mappings:
        assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)
        assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
        (quantity,) = mapping.QuantityDefinitionSequence
        assert quantity.ConceptCodeSequence[0].CodeMeaning == "Probability"
    assert mappings
    assert dataset.ContentQualification == "RESEARCH"
    assert dataset.FloatPixelData


def test_it_is_derived_from_every_slice(written):
    case, path = written
    (derivation,) = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0].DerivationImageSequence
    named = {image.ReferencedSOPInstanceUID for image in derivation.SourceImageSequence}
    assert named == set(case.source.sop_instance_uids)
