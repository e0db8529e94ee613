"""Sending a study as a scanner would: DICOM C-STORE."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.association import Association

from orthanc_plugin.demo.local_orthanc import CALLING_AET, ORTHANC_AET
from orthanc_plugin.domain.errors import ServiceError


def send_study(paths: Iterable[Path], *, port: int) -> Iterator[int]:
    """C-STORE each file to 127.0.0.1 in its own transfer syntax; gives the count so far after each."""
    paths = sorted(paths)
    contexts = {(str(header.file_meta.MediaStorageSOPClassUID), str(header.file_meta.TransferSyntaxUID))
                for header in (dcmread(path, stop_before_pixels=True) for path in paths)}  # fmt: skip
    with _association(sorted(contexts), port=port) as association:
        for count, path in enumerate(paths, start=1):
            status = association.send_c_store(path)
            if "Status" not in status or status.Status != 0x0000:
                code = f"0x{status.Status:04X}" if "Status" in status else "no answer"
                raise ServiceError(f"C-STORE of {path.name}: expected status 0x0000, got {code}")
            yield count


def study_instance_uid(path: Path) -> str:
    """The study that a file belongs to."""
    return str(dcmread(path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)


@contextmanager
def _association(contexts: Iterable[tuple[str, str]], *, port: int) -> Iterator[Association]:
    entity = AE(ae_title=CALLING_AET)
    for sop_class, transfer_syntax in contexts:
        entity.add_requested_context(sop_class, transfer_syntax)
    association = entity.associate("127.0.0.1", port, ae_title=ORTHANC_AET)
    if not association.is_established:
        raise ServiceError(f"DICOM association with Orthanc on port {port} was refused")
    try:
        if association.rejected_contexts:
            raise ServiceError("Orthanc accepts the association but not the study's transfer syntax")
        yield association
    finally:
        association.release()
