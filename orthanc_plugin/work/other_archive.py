"""Earlier studies that lie in another archive: found by C-FIND, brought into Orthanc by C-MOVE."""

import re
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import structlog

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.domain.errors import ArchiveUnavailableError
from orthanc_plugin.domain.facts import StudyFacts
from orthanc_plugin.domain.prior import Person, to_bring

WILDCARDS = re.compile(r"[*?\\]")
"""With these in it an ID would ask for other people too (PS3.4 C.2.2.2.4)."""
ANSWERED = ("IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyTime", "ModalitiesInStudy")

_log = structlog.get_logger("curia.priors")


@dataclass(frozen=True, slots=True)
class OtherArchive:
    """An archive that Orthanc knows and may ask.

    modality : its name in Orthanc's DicomModalities; it must know Orthanc, too, to send anything there
    note : told of a study's UID before the study is brought
    """

    client: OrthancClient
    modality: str
    note: Callable[[str], None]

    def bring(
        self,
        current: StudyFacts,
        here: Iterable[StudyFacts],
        *,
        person: Person,
        modalities: Collection[str],
        count: int,
        until: float,
    ) -> None:
        """Have those of the *count* latest earlier studies sent that Orthanc does not have.

        here : those of the patient that can be compared with
        until : by `time.monotonic`

        Raises
        ------
        ArchiveError
            It does not answer, refuses, or takes too long.
        """
        date = current.tags.get("StudyDate", "")
        if not date.isdecimal() or not person.patient_id or WILDCARDS.search(person.patient_id):
            return
        query = dict.fromkeys(ANSWERED, "") | {"PatientID": person.patient_id, "StudyDate": f"-{date}"}
        found = self.client.find_studies(self.modality, query, seconds=_left(until))
        for one in to_bring(current, here, found, person=person, modalities=modalities, count=count):
            # One that is here and not compared with, today's own or one still arriving, came for its own sake.
            if self.client.studies_named(one.study_instance_uid):
                continue
            self.note(one.study_instance_uid)
            self.client.retrieve_study(one, seconds=_left(until))
            _log.info("earlier study brought", archive=self.modality)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise ArchiveUnavailableError("it did not come in the time that there is for earlier studies")
    return left
