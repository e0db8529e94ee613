"""Whether results can say whose they are: an archive files an object by these values, compared letter for letter."""

from collections.abc import Iterable

from pydicom import Dataset

from operators.dicom.study.character_sets import Terms, bytes_in, character_set_of, is_defined, raw_bytes_of, text_in
from operators.dicom.study.header_values import is_uid
from operators.errors import IdentityError

_MAX_LETTERS = 64
_PATIENT = ("PatientID", "IssuerOfPatientID")
_ALL = ("SpecificCharacterSet", "StudyInstanceUID", *_PATIENT)


def check_identity(headers: Iterable[Dataset]) -> None:
    """Refuse a study whose identifying values a result could not carry byte for byte, in their own character set.

    Raises
    ------
    IdentityError
        Names the attribute and what is wrong with it, never its value.
    """
    checked: set[tuple[bytes, ...]] = set()
    for header in headers:
        raw = tuple(
            raw_bytes_of(header, keyword) for keyword in ("SpecificCharacterSet", "StudyInstanceUID", *_PATIENT)
        )
        if raw not in checked:
            checked.add(raw)
            _check(header)


def identity_obstacle(header: Dataset) -> str | None:
    """Why a result cannot carry the header's identifying values byte for byte, in words; None where it can."""
    terms = character_set_of(header)
    for keyword in _PATIENT:
        obstacle = _text_obstacle(raw_bytes_of(header, keyword), terms)
        if obstacle:
            return f"{keyword} {obstacle}"
    uid = raw_bytes_of(header, "StudyInstanceUID").decode("latin-1")
    return None if not uid or is_uid(uid) else "StudyInstanceUID is no valid UID"


def _check(header: Dataset) -> None:
    obstacle = identity_obstacle(header)
    if obstacle:
        raise IdentityError(
            f"input: {obstacle}; an archive could file results under another patient, so nothing was computed; "
            "correct the value in the archive and send the study again"
        )


def _text_obstacle(raw: bytes, terms: Terms) -> str | None:
    if not raw.isascii() and not is_defined(terms):
        return "has letters beyond ASCII under a Specific Character Set that DICOM does not define"
    text = text_in(raw, terms if is_defined(terms) else ())
    if text is None or bytes_in(text, terms) != raw:
        return "has bytes that its Specific Character Set does not allow"
    if "\\" in text or not text.isprintable():
        return "has a backslash or a control character"
    if len(text) > _MAX_LETTERS:
        return f"is longer than {_MAX_LETTERS} letters"
    return None
