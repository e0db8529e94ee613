from dataclasses import replace
from pathlib import Path

import pytest

from phantoms import SeriesSpec, build_datasets
from trainer.demo_model.open_data import DEMO_STUDY_SLICES, SARCOMA_PATIENTS
from trainer.demo_model.stacks import Stack, link_stacks
from trainer.demo_model.unlabelled_stacks import unlabelled_stacks

SLICES = DEMO_STUDY_SLICES[1] + 5


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Empty files in the places of the open data, and a chest series whose files are named against its order."""
    patients = [*SARCOMA_PATIENTS, "STS_020", "STS_040"]
    names = [f"sts/{patient}/{series}/1.dcm" for patient in patients for series in ("CT", "MR_T1")]
    names += ["dev/mr_brain_positions/HFS/1.dcm", "dev/ct_prior_current_2d/A1/1.dcm", "dev/edge/ct_missing_slice/1.dcm"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    chest = tmp_path / "ct_chest_lidc0314_full"
    chest.mkdir()
    for number, dataset in enumerate(build_datasets(replace(SeriesSpec(), shape=(SLICES, 4, 4)))):
        dataset.save_as(chest / f"{SLICES - number:06d}.dcm", enforce_file_format=True)
    return tmp_path


def test_neither_the_demo_study_nor_measured_nor_reserved_patients_are_trained_on(data: Path) -> None:
    stacks = list(unlabelled_stacks(data))
    chest = [stack for stack in stacks if stack.patient == "LIDC-IDRI-0314"]
    numbers = [[SLICES - int(path.stem) for path in stack.files] for stack in chest]
    assert numbers == [list(range(DEMO_STUDY_SLICES[0])), list(range(DEMO_STUDY_SLICES[1], SLICES))]
    assert {stack.patient for stack in stacks if "sts" in str(stack.files[:1])} == set(SARCOMA_PATIENTS)
    files = [str(file) for stack in stacks for file in stack.files]
    assert not [file for file in files if "prior_current" in file or "edge" in file]


def test_links_lead_to_the_files_of_any_folder_and_are_made_anew(tmp_path: Path) -> None:
    files = [tmp_path / name / "1.dcm" for name in ("one", "two")]
    for text in ("first", "second"):
        for file in files:
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"{file.parent.name} {text}")
        link_stacks([Stack("P", "CT", tuple(files))], tmp_path / "tree")
        found = {link.name: link.read_text() for link in (tmp_path / "tree/P/CT").iterdir()}
        assert found == {"one-1.dcm": f"one {text}", "two-1.dcm": f"two {text}"}
