import pytest
from pydicom.sr._concepts_dict import concepts

from concept_table import codes_of
from operators.domain import concepts as table

NOT_IN_THE_DICTIONARY = {
    # UCUM is a grammar, not a list; the dictionary only has the units of some context groups.
    ("mL", "UCUM"),
    ("{pixels}", "UCUM"),
    ("{-1:1}", "UCUM"),
    ("C0034375", "UMLS"),
    ("en-US", "RFC5646"),
}
ALL = sorted(codes_of(table), key=str)
STANDARD = [code for code in ALL if code.scheme != "99CURIA"]
"""No dictionary has the codes of our own scheme; the conformance statement lists them."""


@pytest.mark.parametrize("code", STANDARD, ids=lambda code: f"{code.scheme} {code.value}")
def test_every_code_means_in_the_dictionary_what_we_say(code):
    meanings = [entry[code.value][0].lower() for entry in concepts.get(code.scheme, {}).values() if code.value in entry]
    if (code.value, code.scheme) in NOT_IN_THE_DICTIONARY:
        assert not meanings, "now the dictionary has it; take it off the list"
    else:
        assert any(code.meaning.lower() in meaning for meaning in meanings), meanings


def test_the_table_is_not_empty_and_one_meaning_has_one_code():
    assert len(ALL) > 20
    assert len({code.meaning for code in ALL}) == len(ALL) == len({(code.scheme, code.value) for code in ALL})
