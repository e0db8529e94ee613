import pytest
from pydicom.sr._concepts_dict import concepts

from operators.dicom.results import coded_concepts
from operators.domain.finding import Code
from operators.heads import measurements

NOT_IN_THE_DICTIONARY = {
    # UCUM is a grammar, not a list; the dictionary only has the units of some context groups.
    ("mL", "UCUM"),
    ("C0034375", "UMLS"),
    ("en-US", "RFC5646"),
}


def _codes(value):
    if isinstance(value, Code):
        yield value
    elif isinstance(value, dict):
        yield from (code for item in value.values() for code in _codes(item))
    elif isinstance(value, tuple):
        yield from (code for item in value for code in _codes(item))


ALL = sorted(
    {code for module in (coded_concepts, measurements) for item in vars(module).values() for code in _codes(item)},
    key=str,
)


@pytest.mark.parametrize("code", ALL, ids=lambda code: f"{code.scheme} {code.value}")
def test_every_code_means_in_the_dictionary_what_we_say(code):
    meanings = [entry[code.value][0].lower() for entry in concepts.get(code.scheme, {}).values() if code.value in entry]
    if (code.value, code.scheme) in NOT_IN_THE_DICTIONARY:
        assert not meanings, "now the dictionary has it; take it off the list"
    else:
        assert any(code.meaning.lower() in meaning for meaning in meanings), meanings


def test_the_table_is_not_empty_and_one_meaning_has_one_code():
    assert len(ALL) > 20
    assert len({code.meaning for code in ALL}) == len(ALL)


def test_a_code_becomes_a_coded_concept():
    concept = coded_concepts.coded_concept(coded_concepts.PROBABILITY)
    assert (concept.value, concept.scheme_designator, concept.meaning) == ("122157", "DCM", "Probability")
