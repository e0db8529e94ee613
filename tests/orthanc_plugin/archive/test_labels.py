"""Labels against a small server that answers like an Orthanc with them, without them, or not at all."""

from typing import Any

import pytest

from answering_archive import archive
from orthanc_plugin.archive.labels import METADATA, Label, show_label

DONE = [(200, b"{}")]


def asked(label: Label | None, **answers: list[tuple[int, Any]]) -> list[str]:
    with archive(**answers) as (client, server):
        show_label(client, "st", label)
        return [name for name, _ in server.seen[1:]]


@pytest.mark.parametrize(
    ("known", "label", "changes"),
    [
        ([], Label.RUNNING, ["PUT /studies/st/labels/ai-running"]),
        (
            ["ai-running", "teaching"],
            Label.FINDING,
            ["DELETE /studies/st/labels/ai-running", "PUT /studies/st/labels/ai-finding"],
        ),
        (["ai-clear"], Label.CLEAR, []),
        (["ai-failed", "teaching"], None, ["DELETE /studies/st/labels/ai-failed"]),
    ],
)
def test_a_study_has_one_label_of_ours_and_keeps_all_others(
    known: list[str], label: Label | None, changes: list[str]
) -> None:
    answers = {change.replace(" /", "__").replace("/", "_"): DONE for change in changes}
    assert asked(label, GET__studies_st_labels=[(200, known)], **answers) == changes


@pytest.mark.parametrize("label", [Label.FINDING, None])
def test_an_older_orthanc_has_it_as_metadata(label: Label | None) -> None:
    answers = {"GET__studies_st_labels": [(404, {})], f"PUT__studies_st_metadata_{METADATA}": DONE}
    assert asked(label, **answers) == [f"PUT /studies/st/metadata/{METADATA}"]


def test_what_goes_wrong_touches_nothing_else() -> None:
    assert asked(Label.CLEAR, GET__studies_st_labels=[(500, {})]) == []
