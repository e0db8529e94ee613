from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orthanc_plugin.domain.facts import SeriesFacts, StudyFacts
from orthanc_plugin.domain.prior import (
    MOST_MASKS,
    FoundStudy,
    Person,
    compared_modalities,
    earlier_studies,
    later_studies,
    prior_instances,
    to_bring,
)

NOW = StudyFacts(
    "now", "1.1", True, datetime(2026, 1, 31, tzinfo=UTC), {"StudyDate": "20260131", "StudyTime": "101500"}
)


def at(orthanc_id: str, date: str, time: str = "", **more: str) -> StudyFacts:
    return replace(NOW, orthanc_id=orthanc_id, tags={"StudyDate": date, "StudyTime": time}, **more)


def test_the_latest_of_the_earlier_studies_comes_first() -> None:
    studies = [at("old", "20240101"), NOW, at("same-day", "20260131", "0800"), at("later", "20260201")]
    assert [study.orthanc_id for study in earlier_studies(NOW, studies)] == ["same-day", "old"]


@pytest.mark.parametrize("date", ["", "2024.01.05", "UNKNOWN1", "20260131"])
def test_a_study_without_a_usable_date_or_of_the_same_moment_is_none(date: str) -> None:
    assert earlier_studies(NOW, [at("other", date, "101500")]) == ()
    assert earlier_studies(at("now", ""), [at("old", "20240101")]) == ()


def test_a_study_is_a_prior_of_every_later_one_that_has_a_date() -> None:
    studies = [at("old", "20240101"), NOW, at("later", "20260201"), at("undated", ""), at("latest", "20270101")]
    assert [study.orthanc_id for study in later_studies(NOW, studies)] == ["later", "latest"]
    assert later_studies(at("undated", ""), studies) == ()


def test_a_study_with_a_defect_is_none() -> None:
    assert earlier_studies(NOW, [at("old", "20240101", defect="its UID is not one")]) == ()


@pytest.mark.parametrize(
    ("other", "may_be"),
    [
        (Person("1", "A", "19500607", "F"), True),
        (Person("1", "A", "", "F"), True),
        (Person("1", "A", "19500607", ""), True),
        (Person("1", "B", "19500607", "F"), False),
        (Person("1", "", "19500607", "F"), False),
        (Person("1", "A", "19500608", "F"), False),
        (Person("1", "A", "19500607", "M"), False),
        (Person("2", "A", "19500607", "F"), False),
    ],
)
def test_the_same_issuer_and_nothing_that_speaks_against_it(other: Person, may_be: bool) -> None:
    assert Person("1", "A", "19500607", "F").may_be(other) is may_be


def test_nobody_is_found_again_by_an_empty_id() -> None:
    assert not Person("", "A", "19500607", "F").may_be(Person("", "A", "19500607", "F"))


PERSON = Person("1", "A", "19500607", "F")


def found(uid: str, date: str, *, modalities: str = "CT", **person: str) -> FoundStudy:
    told = {"patient_id": "1", "birth_date": "19500607"} | person
    return FoundStudy(uid, date, Person(**told), frozenset(modalities.split()), "query", 0)


def brought(*studies: FoundStudy, here: tuple[StudyFacts, ...] = (), count: int = 2) -> list[str]:
    wanted = to_bring(NOW, here, studies, person=PERSON, modalities={"CT"}, count=count)
    return [study.study_instance_uid for study in wanted]


def test_of_the_latest_studies_here_and_elsewhere_those_are_brought_that_are_not_here() -> None:
    elsewhere = [found("old", "20230101"), found("new", "20250101"), found("later", "20260201"), found("undated", "")]
    assert brought(*elsewhere) == ["new", "old"]
    here = (at("mine", "20240101"), at("copy", "20250101", study_instance_uid="new"))
    assert brought(*elsewhere, here=here) == []
    assert brought(*elsewhere, here=here[:1]) == ["new"]
    assert brought(*elsewhere, here=here, count=3) == ["old"]


def test_what_the_archive_does_not_tell_speaks_against_nothing() -> None:
    assert brought(found("1", "20230101", modalities="")) == ["1"]
    assert brought(found("1", "20230101", modalities="SR CT")) == ["1"]
    assert brought(found("1", "20230101", modalities="MR")) == []
    assert brought(found("1", "20230101", issuer="B")) == []
    assert brought(found("1", "20230101", birth_date="19500608")) == []
    assert brought(found("1", "20230101", patient_id="12")) == []


def series(modality: str, *instance_ids: str, manufacturer: str = "GE") -> SeriesFacts:
    return SeriesFacts(f"1.{modality}", modality, instance_ids, {"Manufacturer": manufacturer})


def test_images_of_the_modality_come_with_every_mask_on_them() -> None:
    study = [
        series("CT", "c2", "c1"), series("MR", "m"), series("SR", "r"), series("RTSTRUCT", "s"),
        series("SEG", "o", manufacturer="curia-pacs"),
    ]  # fmt: skip
    assert prior_instances(study, modalities={"CT"}) == ("c1", "c2", "o", "s")


def test_ct_and_mr_are_compared_where_the_site_lets_them() -> None:
    assert compared_modalities({"CT"}, across=False) == {"CT"}
    assert compared_modalities({"CT"}, across=True) == compared_modalities({"MR"}, across=True) == {"CT", "MR"}
    assert compared_modalities({"PT"}, across=True) == {"PT"}


def test_masks_alone_are_no_prior() -> None:
    assert prior_instances([series("MR", "m"), series("SEG", "o")], modalities={"CT"}) == ()


def test_no_more_masks_come_than_are_read() -> None:
    masks = [series("SEG", *(f"o{number:03}" for number in range(MOST_MASKS + 5)))]
    assert len(prior_instances([series("CT", "c"), *masks], modalities={"CT"})) == 1 + MOST_MASKS
