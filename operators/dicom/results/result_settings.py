"""What a site wants written, and under which names."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

ObjectKind = Literal["SR", "SEG", "REG", "DREG", "KO", "SC", "PDF", "PM"]
SegmentationType = Literal["BINARY", "LABELMAP", "FRACTIONAL"]
OBJECT_KINDS: tuple[ObjectKind, ...] = get_args(ObjectKind)
"""Kinds of result objects in order of importance, which is the order of ``outputs`` in ``result.json``."""

# LO (PS3.5 6.2): one value of at most 64 characters, the backslash separates values.
SiteName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\\\x00-\x1f]+$")
]
MAX_SERIES_NAME = 23
"""The rest of the 64 is for "(research use only, demonstration model)"."""
SeriesName = Annotated[SiteName, Field(max_length=MAX_SERIES_NAME)]


class ResultSettings(BaseModel):
    """The ``[results]`` table of the settings.

    objects : kinds of DICOM objects to write
    segmentation_type : of the SEG
    segment_report : a second SR whose groups refer to the SEG's segments instead of contours
    html_preview : ``preview.html`` with the findings and pictures, for people
    institution_name : Institution Name (0008,0080) of every object
    series_descriptions : by kind, what stands before "(research use only)" in the Series Description
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objects: tuple[ObjectKind, ...] = ("SR", "SEG", "REG", "DREG")
    segmentation_type: SegmentationType = "BINARY"
    segment_report: bool = False
    html_preview: bool = False
    institution_name: SiteName | None = None
    series_descriptions: dict[ObjectKind, SeriesName] = Field(default_factory=dict)

    @field_validator("objects")
    @classmethod
    def _in_order_of_importance(cls, objects: tuple[ObjectKind, ...]) -> tuple[ObjectKind, ...]:
        return tuple(kind for kind in OBJECT_KINDS if kind in objects)

    @model_validator(mode="after")
    def _segment_report_has_segments(self) -> "ResultSettings":
        if self.segment_report and not {"SR", "SEG"} <= set(self.objects):
            raise ValueError("segment_report: expected SR and SEG among the objects, the report refers to segments")
        return self

    def writes(self, kind: ObjectKind) -> bool:
        return kind in self.objects

    @property
    def listed(self) -> dict[str, str | bool]:
        """One plain value for each setting, as ``result.json`` shows them and as the settings' digest covers them."""
        names = sorted(self.series_descriptions.items())
        return {
            "result_objects": " ".join(self.objects),
            "segmentation_type": self.segmentation_type,
            "segment_report": self.segment_report,
            "html_preview": self.html_preview,
            "institution_name": self.institution_name or "",
            "series_descriptions": "; ".join(f"{kind}: {name}" for kind, name in names),
        }
