import pytest
from pydicom import Dataset

from trainer.ingest.body_parts import body_region


@pytest.mark.parametrize(
    ("term", "region"),
    [("CHEST", "chest"), ("WHOLE_BODY", "whole body"), ("C SPINE", "neck"), ("MRS CANARY KNEE", None), ("", None)],
)
def test_only_the_standards_terms_are_known(term: str, region: str | None) -> None:
    header = Dataset()
    header.BodyPartExamined = term
    assert body_region(header) == region


def test_a_missing_term_is_no_region() -> None:
    assert body_region(Dataset()) is None
