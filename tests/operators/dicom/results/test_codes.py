from operators.dicom.results.codes import coded_concept
from operators.domain.concepts import PROBABILITY


def test_a_code_becomes_a_coded_concept():
    concept = coded_concept(PROBABILITY)
    assert (concept.value, concept.scheme_designator, concept.meaning) == ("122157", "DCM", "Probability")
