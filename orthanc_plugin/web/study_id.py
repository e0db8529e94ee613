"""A study in a route."""

from typing import Annotated

from fastapi import Path

ORTHANC_ID = r"^[0-9a-f]{8}(-[0-9a-f]{8}){4}$"
"""Orthanc's ids: five groups of eight hex digits."""
StudyId = Annotated[str, Path(pattern=ORTHANC_ID)]
