"""The content items that every part of a report is made of."""

from collections.abc import Sequence

import highdicom as hd

from operators.dicom.results.codes import coded_concept
from operators.domain.concepts import Code


def container(
    name: Code, items: Sequence[hd.sr.ContentItem], template_id: str | None = None
) -> hd.sr.ContainerContentItem:
    """A CONTAINER below another one, with these items; the root of a template names it."""
    item = hd.sr.ContainerContentItem(coded_concept(name), template_id=template_id, relationship_type="CONTAINS")
    item.ContentSequence = hd.sr.ContentSequence(items)
    return item


def text_item(name: Code, value: str) -> hd.sr.TextContentItem:
    """A TEXT below a container."""
    return hd.sr.TextContentItem(coded_concept(name), value, relationship_type="CONTAINS")
