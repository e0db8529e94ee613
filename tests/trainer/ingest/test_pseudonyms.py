import errno
import os
import stat
from pathlib import Path

import pytest

from trainer.ingest.pseudonyms import KEY_FILE, Pseudonyms, read_or_make_key, split_of

KEY = Pseudonyms(b"k" * 32)


def test_the_key_is_random_kept_and_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    made = read_or_make_key(tmp_path)

    assert read_or_make_key(tmp_path) == made
    assert read_or_make_key(tmp_path / "other") != made
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_a_disk_too_full_for_a_key_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            read_or_make_key(tmp_path)
    assert not (tmp_path / KEY_FILE).exists()
    assert len(read_or_make_key(tmp_path).key) == 32


def test_a_damaged_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("abcd")
    with pytest.raises(ValueError, match="expected 32 bytes as hex digits, got 2"):
        read_or_make_key(tmp_path)


def test_equal_words_of_one_kind_are_equal_and_nothing_else_is() -> None:
    hashes = [
        KEY.of("patient", "A", "BC"),
        KEY.of("patient", "AB", "C"),
        KEY.of("patient", "ABC"),
        KEY.of("study", "A", "BC"),
        Pseudonyms(b"l" * 32).of("patient", "A", "BC"),
    ]
    assert KEY.of("patient", "A", "BC") == hashes[0]
    assert len(set(hashes)) == 5


def test_the_share_of_patients_is_kept() -> None:
    splits = [split_of(KEY.of("patient", str(number)), 0.2) for number in range(2000)]
    # Four standard deviations of a binomial of 2,000.
    assert abs(splits.count("validation") / 2000 - 0.2) < 4 * (0.2 * 0.8 / 2000) ** 0.5


def test_a_larger_share_takes_nobody_back() -> None:
    patients = [KEY.of("patient", str(number)) for number in range(200)]
    small, large = (
        {patient for patient in patients if split_of(patient, share) == "validation"} for share in (0.1, 0.3)
    )
    assert small < large
