from orthanc_plugin.archive.answers import Change, Changes
from orthanc_plugin.intake.changes import changed_studies


def test_studies_that_came_or_came_to_rest_are_named_once_in_order() -> None:
    entries = (
        ("NewInstance", "Instance", "i1"),
        ("NewSeries", "Series", "s1"),
        ("NewStudy", "Study", "b"),
        ("NewPatient", "Patient", "p"),
        ("StableStudy", "Study", "a"),
        ("StableStudy", "Study", "b"),
        ("UpdatedMetadata", "Study", "c"),
    )
    changes = tuple(
        Change.model_validate(dict(zip(("ChangeType", "ResourceType", "ID"), entry, strict=True))) for entry in entries
    )
    assert changed_studies(Changes.model_validate({"Changes": changes, "Last": 7, "Done": True})) == ("b", "a")
