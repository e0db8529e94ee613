"""How it stands with a study, shown in Orthanc itself: a label, or metadata where Orthanc has no labels."""

from enum import StrEnum

import structlog

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.domain.errors import ServiceError

METADATA = 4126
"""For Orthancs before 1.12: number of the study's metadata, one of those left to users; UserMetadata can name it."""

_log = structlog.get_logger("curia.labels")


class Label(StrEnum):
    """FINDING : something was found that is to be looked at. CLEAR : nothing of what was looked for."""

    RUNNING = "ai-running"
    FINDING = "ai-finding"
    CLEAR = "ai-clear"
    FAILED = "ai-failed"


def show_label(client: OrthancClient, study_id: str, label: Label | None) -> None:
    """Give a study this label of ours and no other; None takes ours away. What goes wrong with that is logged alone."""
    try:
        known = client.labels(study_id)
        if known is None:
            client.put_metadata(study_id, METADATA, "" if label is None else label.value)
            return
        for other in set(known) & set(Label) - {label}:
            client.remove_label(study_id, other)
        if label is not None and label not in known:
            client.add_label(study_id, label)
    except ServiceError as error:
        _log.warning("not labelled", code=error.code, reason=str(error))
