"""Zip files are somebody else's: nothing of them is believed."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from operators.dicom.study.read_limits import ReadLimits
from operators.dicom.study.study_index import StudyIndex, index_study
from operators.errors import InputError
from phantoms import SeriesSpec, build_datasets, save_series

SMALL = SeriesSpec(shape=(4, 8, 8))


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    return save_series(build_datasets(SMALL), tmp_path / "images")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def pack(archive: Path, members: dict[str, bytes]) -> Path:
    archive.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return archive


def packed_images(images: list[Path], name: Callable[[int], str]) -> dict[str, bytes]:
    return {name(number): path.read_bytes() for number, path in enumerate(images)}


def sizes(study: StudyIndex) -> list[int]:
    return [len(series.instances) for series in study.series]


def test_a_zip_file_is_a_study(tmp_path: Path, images: list[Path], scratch: Path):
    members = packed_images(images, lambda k: f"DISC/{k}") | {"DISC/readme.txt": b"hello", "DISC/empty": b""}
    study = index_study(pack(tmp_path / "study", members), scratch=scratch)
    assert (sizes(study), study.num_other_files) == ([4], 2)


def test_zip_files_inside_a_folder_are_unpacked(tmp_path: Path, images: list[Path], scratch: Path):
    pack(tmp_path / "in" / "a.zip", packed_images(images[:2], str))
    pack(tmp_path / "in" / "b.docx", packed_images(images[2:], str))
    study = index_study(tmp_path / "in", scratch=scratch)
    assert sizes(study) == [4]
    assert all(path.is_relative_to(scratch) for series in study.series for path in [i.path for i in series.instances])


@pytest.mark.parametrize("name", ["../../outside{}", "/tmp/outside{}", "..\\..\\outside{}", "a/../../../outside{}"])
def test_names_cannot_lead_out_of_the_folder(tmp_path: Path, images: list[Path], scratch: Path, name: str):
    before = set(tmp_path.parent.rglob("outside*"))
    archive = pack(tmp_path / "in" / "x.zip", packed_images(images, name.format))
    assert sizes(index_study(archive, scratch=scratch)) == [4]
    assert set(tmp_path.parent.rglob("outside*")) == before
    assert all(path.parent == scratch for path in scratch.rglob("*"))


def test_names_of_members_are_not_kept(tmp_path: Path, images: list[Path], scratch: Path):
    archive = pack(tmp_path / "x.zip", packed_images(images, "CANARY^PATIENT {}".format))
    index_study(archive, scratch=scratch)
    assert not any("CANARY" in path.name for path in scratch.iterdir())


def test_a_zip_file_in_a_zip_file_is_another_file(tmp_path: Path, images: list[Path], scratch: Path):
    inner = pack(tmp_path / "inner.zip", packed_images(images, str))
    outer = pack(tmp_path / "outer.zip", {"inner.zip": inner.read_bytes(), "image": images[0].read_bytes()})
    study = index_study(outer, scratch=scratch)
    assert (sizes(study), study.num_other_files) == ([1], 1)


def test_without_scratch_a_zip_file_is_another_file(tmp_path: Path, images: list[Path]):
    pack(images[0].parent / "x.zip", packed_images(images, str))
    study = index_study(images[0].parent)
    assert (sizes(study), study.num_other_files) == ([4], 1)


def test_a_bomb_is_refused(tmp_path: Path, images: list[Path], scratch: Path):
    archive = pack(tmp_path / "x.zip", {"image": images[0].read_bytes() + bytes(2**25)})
    assert archive.stat().st_size < 2**17
    with pytest.raises(InputError, match="zip files unpack to more than 16777216 bytes"):
        index_study(archive, scratch=scratch, limits=ReadLimits(max_unpacked_bytes=2**24))
    assert sum(path.stat().st_size for path in scratch.iterdir()) <= 2**24


def test_too_many_members_are_refused(tmp_path: Path, images: list[Path], scratch: Path):
    for name in ("a", "b"):
        pack(tmp_path / "in" / f"{name}.zip", packed_images(images, str))
    with pytest.raises(InputError, match="more than 6 members"):
        index_study(tmp_path / "in", scratch=scratch, limits=ReadLimits(max_archive_members=6))


def test_members_before_the_start_of_the_file_are_refused(tmp_path: Path, images: list[Path], scratch: Path):
    archive = pack(tmp_path / "x.zip", packed_images(images, str))
    data = bytearray(archive.read_bytes())
    # The end record's offset of the directory (APPNOTE 4.3.16); what it is too large by shifts every member.
    directory = slice(len(data) - 6, len(data) - 2)
    data[directory] = (int.from_bytes(data[directory], "little") + 1000).to_bytes(4, "little")
    archive.write_bytes(data)
    with pytest.raises(InputError, match="a zip file is broken, encrypted"):
        index_study(archive, scratch=scratch)


def test_a_broken_zip_file_is_refused(tmp_path: Path, images: list[Path], scratch: Path):
    archive = pack(tmp_path / "x.zip", packed_images(images, str))
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(InputError, match="a zip file is broken, encrypted"):
        index_study(archive, scratch=scratch)


def test_a_member_that_differs_from_its_checksum_is_refused(tmp_path: Path, images: list[Path], scratch: Path):
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        opened.writestr("image", images[0].read_bytes())
    content = bytearray(archive.read_bytes())
    content[400] ^= 0xFF
    archive.write_bytes(bytes(content))
    with pytest.raises(InputError, match="a zip file is broken"):
        index_study(archive, scratch=scratch)
