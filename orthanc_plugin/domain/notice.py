"""Something that people should know of a study beside its results."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """A remark in words.

    code : a stable word
    message : one sentence, without anything of the patient's.
    """

    code: str
    message: str
