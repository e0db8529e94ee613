"""Which earlier study of a patient today's is compared with: pure functions.

Whether the images lie over one another at all, the pipeline sees.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from orthanc_plugin.domain.facts import SeriesFacts, StudyFacts
from orthanc_plugin.domain.source import is_own, why_not_read

MASKS = frozenset({"SEG", "RTSTRUCT"})
"""Whose outlines can be carried from an earlier study to today's, whoever drew them."""
MOST_MASKS = 50
"""How many such objects are fetched with one study."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom an image shows, by what it says of it; empty where it does not say."""

    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    sex: str = ""

    def may_be(self, other: "Person") -> bool:
        """Whether they are one as far as one can tell: the same ID of the same issuer, nothing against it in the rest.

        Nobody is found again by an empty ID.
        """
        if not self.patient_id or (self.patient_id, self.issuer) != (other.patient_id, other.issuer):
            return False
        said = ((self.birth_date, other.birth_date), (self.sex, other.sex))
        return all(one == another for one, another in said if one and another)


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study that another archive answers with when it is asked (C-FIND).

    moment : date and time as one sortable text, empty without a date
    modalities : of its series; empty where the archive does not tell
    query, number : under which Orthanc keeps the answer, and from which it has the study sent
    """

    study_instance_uid: str
    moment: str
    person: Person
    modalities: frozenset[str]
    query: str
    number: int


def to_bring(
    current: StudyFacts,
    here: Iterable[StudyFacts],
    found: Iterable[FoundStudy],
    *,
    person: Person,
    modalities: Collection[str],
    count: int,
) -> tuple[FoundStudy, ...]:
    """Of the *count* latest earlier studies, here and elsewhere, those that are not here.

    here : those of the patient that can be compared with
    found : what the archive answered, whatever it was asked
    """
    known, now = {study.study_instance_uid: _moment(study) for study in here}, _moment(current)
    wanted = {
        one.study_instance_uid: one
        for one in found
        if one.study_instance_uid not in known and "" < one.moment < now and _may_show(one, person, modalities)
    }
    moments = known | {uid: one.moment for uid, one in wanted.items()}
    latest = sorted(moments, key=lambda uid: moments[uid], reverse=True)[:count]
    return tuple(wanted[uid] for uid in latest if uid in wanted)


def _may_show(one: FoundStudy, person: Person, modalities: Collection[str]) -> bool:
    """Few archives tell the issuer or all modalities; what they leave out, the images themselves will say."""
    told = replace(one.person, issuer=one.person.issuer or person.issuer)
    return person.may_be(told) and (not one.modalities or not one.modalities.isdisjoint(modalities))


def earlier_studies(current: StudyFacts, of_patient: Iterable[StudyFacts]) -> tuple[StudyFacts, ...]:
    """The patient's studies of an earlier day or hour, the latest first; none where today's has no date."""
    now = _moment(current)
    others = [study for study in of_patient if study.orthanc_id != current.orthanc_id and study.defect is None]
    return tuple(sorted((one for one in others if "" < _moment(one) < now), key=_moment, reverse=True))


def later_studies(earlier: StudyFacts, of_patient: Iterable[StudyFacts]) -> tuple[StudyFacts, ...]:
    """The patient's studies of a later day or hour than this one."""
    return tuple(study for study in of_patient if study.defect is None and "" < _moment(earlier) < _moment(study))


def compared_modalities(own: Collection[str], *, across: bool) -> frozenset[str]:
    """Of an earlier study's images: today's own, and both of CT and MR where the site lets them be compared."""
    ct_and_mr = frozenset({"CT", "MR"})
    return frozenset(own) | ct_and_mr if across and ct_and_mr & set(own) else frozenset(own)


def prior_instances(series: Iterable[SeriesFacts], *, modalities: Collection[str]) -> tuple[str, ...]:
    """The images of these modalities and the masks on them; nothing where there are no images."""
    read = tuple(series)
    others = [one for one in read if why_not_read(one.modality, is_own=is_own(one, ())) is None]
    images = [one for one in others if one.modality in modalities]
    if not images:
        return ()
    masks = [instance for one in read if one.modality in MASKS for instance in one.instance_ids]
    return tuple(sorted([*(instance for one in images for instance in one.instance_ids), *masks[:MOST_MASKS]]))


def moment_of(date: str, time: str) -> str:
    """A study's date and time as one sortable text, empty without a date."""
    return date + time if len(date) == 8 and date.isdecimal() else ""


def _moment(study: StudyFacts) -> str:
    return moment_of(study.tags.get("StudyDate", ""), study.tags.get("StudyTime", ""))
