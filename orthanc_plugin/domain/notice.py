"""Something that people should know of a study beside its results."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """code : a stable word. message : one sentence, without anything of the patient's."""

    code: str
    message: str
