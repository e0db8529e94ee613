"""Which of the open data the embedded encoder learns from without labels, laid out for ``trainer.pretraining.ingest``.

Left out are the slices of the bundled demo study, ``dev/ct_prior_current_2d``, on which figures are measured,
``dev/ct_abdomen_totalseg``, whose files do not say what they are (no SOP Class UID), so that ingest refuses them, and
the readers' test files in ``dev/edge``.
"""

from collections.abc import Iterator
from pathlib import Path

import pydicom

from trainer.demo_model.open_data import DEMO_STUDY_SLICES, SARCOMA_PATIENTS
from trainer.demo_model.packs import pack_stacks
from trainer.demo_model.stacks import Stack
from trainer.ingest.found_volumes import FileRule

FILE_RULES = (
    FileRule("NIfTI", "CT", "*-example_ct*"),
    FileRule("NIfTI", "MR", "*"),
    FileRule("picture", "CT", "LIDC-IDRI-*.jpg"),
    FileRule("picture", "MR", "*"),
)
"""Rules for the files, by the names that `link_stacks` gives."""


def unlabelled_stacks(data: Path) -> Iterator[Stack]:
    """Patients bear the names that `trainer.datasets` gives them."""
    for patient in SARCOMA_PATIENTS:
        for name in ("CT", "MR_T1"):
            yield _dicom(patient, data / "sts" / patient / name)
    yield from _chest(data / "ct_chest_lidc0314_full")
    dev = data / "dev"
    trunk = dev / "ct_body_totalseg_nifti"
    yield Stack("TotalSegmentator-B", "CT", (trunk / "example_ct.nii.gz", trunk / "example_ct_sm.nii.gz"))
    yield Stack("TotalSegmentator-C", "MR", (trunk / "example_mr_sm.nii.gz",))
    yield Stack("open_ms_data-01", "MR", tuple(sorted((dev / "mr_ms_pair_patient01").glob("study*.nii.gz"))))
    for folder in sorted((dev / "mr_brain_positions").iterdir()):
        yield _dicom("dcm_qa_decubitus", folder)
    yield _dicom("DTU", dev / "ct_abdomen_slices_dtu")
    yield from pack_stacks(data)


def _dicom(patient: str, folder: Path) -> Stack:
    return Stack(patient, folder.name, tuple(sorted(folder.glob("*.dcm"))))


def _chest(folder: Path) -> Iterator[Stack]:
    """Two stacks, since a volume with a hole in it would be refused."""
    files = sorted(folder.glob("*.dcm"), key=_height)
    first, last = DEMO_STUDY_SLICES
    yield Stack("LIDC-IDRI-0314", "below the demo study", tuple(files[:first]))
    yield Stack("LIDC-IDRI-0314", "above the demo study", tuple(files[last:]))


def _height(path: Path) -> float:
    """Of an axial slice, mm from the feet up."""
    return float(pydicom.dcmread(path, specific_tags=["ImagePositionPatient"]).ImagePositionPatient[2])
