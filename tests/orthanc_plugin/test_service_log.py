from pathlib import Path

from orthanc_plugin.service_log import StudyNames


def test_names_are_steady_for_one_key_and_differ_for_another(tmp_path: Path) -> None:
    names = StudyNames(tmp_path / "a.key", plain=False)
    assert names("1.2.3") == StudyNames(tmp_path / "a.key", plain=False)("1.2.3")
    assert names("1.2.3") != names("1.2.4")
    assert names("1.2.3") != StudyNames(tmp_path / "b.key", plain=False)("1.2.3")
    assert "1.2.3" not in names("1.2.3")


def test_the_key_is_its_users_alone(tmp_path: Path) -> None:
    StudyNames(tmp_path / "a.key", plain=False)
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600


def test_a_site_may_ask_for_plain_uids(tmp_path: Path) -> None:
    assert StudyNames(tmp_path / "a.key", plain=True)("1.2.3") == "1.2.3"
