"""The open data that the embedded model is trained, fitted and measured on.

Expected below the data folder, with their origin:

========================================  ==========================================================================
``ct_chest_lidc0314_full/``               LIDC-IDRI-0314, chest CT, TCIA, CC BY 3.0 (copy in FNNDSC/data)
``sts/STS_NNN/{CT,MR_T1}``                Soft-tissue-Sarcoma, TCIA, CC BY 3.0, as cropped and aligned by the IBSI
                                          validation set (theibsi/data_sets), with human tumour contours
``dev/ct_abdomen_totalseg/``              TotalSegmentator's test CT with its own model's labels, Apache-2.0
``dev/ct_body_totalseg_nifti/``           TotalSegmentator's test trunk CT and MR with its own model's labels
``dev/ct_abdomen_slices_dtu/``            abdomen CT slices of DTU's image analysis course, CC BY 4.0
``dev/mr_ms_pair_patient01/``             open_ms_data, longitudinal patient 01 (Lesjak 2016), CC BY
``dev/mr_brain_positions/``               one head in two positions, neurolabusc/dcm_qa_decubitus, BSD-2
``dev/ct_prior_current_2d/`` (optional)   three people's CT slices, TCIA COVID-19-NY-SBU; measured on, never
                                          fitted
========================================  ==========================================================================
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
from scipy.ndimage import gaussian_filter

from operators.dicom.study.study_index import index_study
from operators.dicom.volumes.volume_reader import read_series
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.heads.scope import Region
from operators.imaging.encoder_input import orient_for_encoder
from operators.imaging.resampling import resample
from trainer.demo_model.lung_and_bone import lung_and_bone_by_rule
from trainer.features.scans import Scan
from trainer.ingest.nifti import read_nifti

ORGANS = ("lung", "bone")

SARCOMA_PATIENTS = tuple(f"STS_{number:03d}" for number in (*range(1, 20), *range(21, 25)))
"""Named one by one, since later patients of the collection are reserved for a final evaluation."""

DEMO_STUDY_SLICES = (143, 175)
"""Of LIDC-IDRI-0314, counted from the feet: the bundled demo study, which no head is fitted on and
no encoder trained on."""

CHEST_SLICES_FOR_ORGANS = (176, 236)
"""Of LIDC-IDRI-0314, counted from the feet: above liver, effusion and the slices of the bundled demo study."""

_TOTALSEGMENTATOR_LABELS = {
    "lung": range(10, 15),
    # Sacrum and vertebrae, shoulder and thigh bones, hips, skull, ribs and sternum; costal cartilage is none.
    "bone": (*range(25, 51), *range(69, 79), *range(91, 117)),
}
"""Label numbers of TotalSegmentator's 117 classes (version 2)."""


def read_sarcoma_scans(data: Path) -> Iterator[Scan]:
    """CT and T1-weighted MR of each soft-tissue sarcoma patient; the field of view ends 5 cm around the tumour."""
    for patient in SARCOMA_PATIENTS:
        folder = data / "sts" / patient
        for name, modality in (("CT", "CT"), ("MR_T1", "MR")):
            volume = _read_dicom(folder / name)
            mask = _on_grid(read_nifti(folder / f"{name}_mask.nii.gz"), volume.geometry)
            scan = _uniform(volume, patient, modality, region="extremity")
            yield replace(scan, name=name, mass=Volume(mask.array > 0, volume.geometry))


def read_organ_scans(data: Path) -> Iterator[Scan]:
    """The two CT with organ labels, and LIDC-IDRI-0314 above the liver with lung and bone by a rule."""
    abdomen = _read_dicom(data / "dev/ct_abdomen_totalseg/dicom")
    yield _labelled(abdomen, data / "dev/ct_abdomen_totalseg/example_seg_dicom.nii.gz", patient="TotalSegmentator-A")
    folder = data / "dev/ct_body_totalseg_nifti"
    trunk = orient_for_encoder(read_nifti(folder / "example_ct_sm.nii.gz"))
    yield _labelled(trunk, folder / "example_seg.nii.gz", patient="TotalSegmentator-B")
    whole = _read_dicom(data / "ct_chest_lidc0314_full")
    first, last = CHEST_SLICES_FOR_ORGANS
    volume = whole.cropped((first, 0, 0), (last, *whole.geometry.shape[1:]))
    chest = _uniform(volume, "LIDC-IDRI-0314", "CT", region="chest")
    yield replace(chest, organs=lung_and_bone_by_rule(volume)).thinned(2)


def read_region_scans(data: Path) -> Iterator[Scan]:
    """Scans that only tell the body region; the sarcoma and organ scans do so too."""
    yield from _read_trunk(data)
    yield from _read_heads(data)
    yield read_chest(data)
    for path in sorted((data / "dev/ct_abdomen_slices_dtu").glob("*.dcm")):
        yield _single_slice(path, patient="DTU", region="abdomen")


def read_chest(data: Path) -> Scan:
    """LIDC-IDRI-0314; its slices from the lung bases to the apices are chest, those of the shoulders are other.

    The slices of the demo study are left out.
    """
    volume = _read_dicom(data / "ct_chest_lidc0314_full")
    chest = _uniform(volume, "LIDC-IDRI-0314", "CT", region="chest", span=(0.2, 0.85))
    shoulders = _uniform(volume, "LIDC-IDRI-0314", "CT", region="other", span=(0.92, 1.0))
    first, last = DEMO_STUDY_SLICES
    regions = _joined(chest, shoulders)
    return replace(chest, regions=(*regions[:first], *[None] * (last - first), *regions[last:]))


def read_unseen_slices(data: Path) -> Iterator[Scan]:
    """CT slices of three people that no head is fitted on; lung by a rule where there is lung."""
    for path in sorted((data / "dev/ct_prior_current_2d").glob("*/*.dcm")):
        region: Region = "abdomen" if path.parent.name == "A062055" else "chest"
        scan = _single_slice(path, patient=f"COVID-19-NY-SBU-{path.parent.name}", region=region)
        yield replace(scan, organs=lung_and_bone_by_rule(scan.volume))


def make_phantoms(seed: int) -> Iterator[Scan]:
    """Whole numbers that show nothing, for the region "other": white noise, clouds, a constant with a little noise."""
    rng = np.random.default_rng(seed)
    grid = Geometry(np.eye(4), (4, 256, 256))
    noise = rng.normal(0.0, 100.0, grid.shape).astype(np.float32)
    clouds = np.stack([gaussian_filter(slice_, 12.0) for slice_ in noise]) * 40.0
    for name, array in (("noise", noise), ("clouds", clouds), ("air", noise * 0.02 - 1000.0)):
        yield replace(_uniform(Volume(np.rint(array), grid), f"phantom {name}", "CT", region="other"), name=name)


def _read_trunk(data: Path) -> Iterator[Scan]:
    folder = data / "dev/ct_body_totalseg_nifti"
    ct = orient_for_encoder(read_nifti(folder / "example_ct.nii.gz").astype(np.float32))
    # From the thighs to the dome of the liver: the lowest two fifths are pelvis.
    pelvis = _uniform(ct, "TotalSegmentator-B", "CT", region="other", span=(0.0, 0.4))
    abdomen = _uniform(ct, "TotalSegmentator-B", "CT", region="abdomen", span=(0.5, 0.9))
    yield replace(abdomen, regions=_joined(pelvis, abdomen))
    mr = orient_for_encoder(read_nifti(folder / "example_mr_sm.nii.gz").astype(np.float32))
    yield _uniform(mr, "TotalSegmentator-C", "MR", region="abdomen")


def _joined(low: Scan, high: Scan) -> tuple[Region | None, ...]:
    return tuple(one or other for one, other in zip(low.regions, high.regions, strict=True))


def _read_heads(data: Path) -> Iterator[Scan]:
    for path in sorted((data / "dev/mr_ms_pair_patient01").glob("study*.nii.gz")):
        volume = orient_for_encoder(read_nifti(path).astype(np.float32))
        yield _uniform(volume, "open_ms_data-01", "MR", region="head", span=(0.1, 0.9))
    for folder in sorted((data / "dev/mr_brain_positions").iterdir()):
        yield _uniform(_read_dicom(folder), "dcm_qa_decubitus", "MR", region="head", span=(0.15, 0.85))


def _read_dicom(folder: Path) -> Volume:
    """The only series of a folder."""
    (series,) = index_study(folder).series
    return orient_for_encoder(read_series(series, role="training").volume)


def _single_slice(path: Path, *, patient: str, region: Region) -> Scan:
    """One axial slice; a volume reader would refuse it, as its slice spacing is unknown."""
    dataset = pydicom.dcmread(path)
    array = dataset.pixel_array[None].astype(np.float32) * dataset.RescaleSlope + dataset.RescaleIntercept
    spacing = np.array([1.0, *dataset.PixelSpacing], np.float64)
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, ::-1] * spacing
    return _uniform(Volume(array, Geometry(affine, array.shape)), patient, "CT", region=region)


def _uniform(
    volume: Volume, patient: str, modality: str, *, region: Region, span: tuple[float, float] = (0.0, 1.0)
) -> Scan:
    """A scan whose slices within *span*, as shares of the slice axis, show one region."""
    depth = volume.geometry.shape[0]
    low, high = (round(share * depth) for share in span)
    regions = tuple(region if low <= k < high else None for k in range(depth))
    return Scan(patient, region, modality, volume, regions)


def _labelled(volume: Volume, path: Path, *, patient: str) -> Scan:
    """The labels' file may run the other way along an axis, so the two meet in millimetres."""
    classes = _on_grid(read_nifti(path), volume.geometry).array
    organs = np.zeros(classes.shape, np.uint8)
    for number, organ in enumerate(ORGANS, start=1):
        organs[np.isin(classes, list(_TOTALSEGMENTATOR_LABELS[organ]))] = number
    scan = _uniform(volume.astype(np.float32), patient, "CT", region="abdomen")
    return replace(scan, organs=Volume(organs, volume.geometry))


def _on_grid(labels: Volume, grid: Geometry) -> Volume:
    return resample(labels, grid, order=0)
