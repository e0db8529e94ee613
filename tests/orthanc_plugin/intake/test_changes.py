from orthanc_plugin.archive.orthanc_client import Changes
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
    assert changed_studies(Changes(entries, last=7, done=True)) == ("b", "a")
