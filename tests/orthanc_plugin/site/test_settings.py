import socket
from contextlib import nullcontext
from pathlib import Path

import pytest

from app.settings import Settings
from operators.errors import ModelError
from orthanc_plugin.domain.errors import SettingsError
from orthanc_plugin.site.settings import prepare_data_folder, read_settings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("CURIA_")]:
        monkeypatch.delenv(name)


def write(folder: Path, text: str) -> Path:
    path = folder / "service.toml"
    path.write_text(text)
    return path


def test_defaults_need_no_file() -> None:
    settings = read_settings(None)
    assert (settings.host, settings.port) == ("127.0.0.1", 8790)
    assert settings.resolved_database_url == "sqlite:////var/lib/curia-pacs/service.sqlite"
    assert settings.full_worker_command("auto")[1:] == ("-m", "app.worker", "--device", "auto")


def test_hosts_are_told_apart_where_they_share_a_database(tmp_path: Path) -> None:
    assert read_settings(None).resolved_executor_id == "local"
    shared = read_settings(write(tmp_path, 'database_url = "postgresql+psycopg://h/d"'))
    assert shared.resolved_executor_id == socket.gethostname()
    named = read_settings(write(tmp_path, 'database_url = "postgresql+psycopg://h/d"\nexecutor_id = "a"'))
    assert named.resolved_executor_id == "a"


def test_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, 'listen = "127.0.0.1:1"\nquiet_seconds = 9\n')
    monkeypatch.setenv("CURIA_LISTEN", "127.0.0.1:2")
    settings = read_settings(path)
    assert (settings.port, settings.quiet_seconds) == (2, 9.0)


def test_a_model_folder_goes_to_the_worker(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, f'model = "{tmp_path}"\n'))
    assert settings.full_worker_command("cuda:1")[-4:] == ("-m", str(tmp_path), "--device", "cuda:1")


def test_the_pipelines_settings_go_to_the_worker(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("[limits]\nmax_slices = 100\n")
    settings = read_settings(write(tmp_path, f'pipeline_config = "{tmp_path / "site.toml"}"\n'))
    assert settings.full_worker_command("auto")[-4:] == ("--config", str(tmp_path / "site.toml"), "--device", "auto")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('pipeline_config = "/nowhere"', "settings: pipeline_config: .*expected a TOML file, found none at /nowhere"),
        ('lisen = "127.0.0.1:1"', "settings: lisen: there is no such key"),
        ('listen = "no port"', "settings: listen: "),
        ('listen = "127.0.0.1:99999"', "settings: listen: .*expected a port from 1 to 65535 in 127.0.0.1:99999"),
        ('database_url = "mysql://h/d"', "settings: database_url: .*expected a URL that begins with postgresql"),
        ('devices = ["cuda:0,cpu"]', "settings: devices: 0: "),
        ("quiet_seconds = -1", "settings: quiet_seconds: .*greater than or equal to 0"),
        ('devices = ["cpu", "gpu"]', "settings: devices: 1: "),
        ("devices = []", "settings: devices: "),
        ('model = "/nowhere"', "settings: model: .*expected a model folder, found none at /nowhere"),
        ('listen = "0.0.0.0:8790"', "token: needed because 0.0.0.0:8790 can be reached from other machines"),
        ("listen = ", "is not valid TOML"),
        (
            '[[rules]]\nname = "a"\ncalling_aet = "("',
            "settings: rules: 0: calling_aet: .*expected a regular expression",
        ),
        ('[[rules]]\nname = "a"\n[[rules]]\nname = "a"', "settings: rules: .*expected different names, got a, a"),
        ('[[destinations]]\nname = "a"', "settings: destinations: 0: .*a: expected either modality or stow_url"),
        (
            '[[destinations]]\nname = "a"\nstow_url = "http://a"\nstorage_commitment = true',
            "a: storage_commitment goes with modality only",
        ),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_settings(write(tmp_path, text))


def test_a_password_of_a_wrong_type_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="orthanc_password") as caught:
        read_settings(write(tmp_path, 'orthanc_password = ["hunter2"]'))
    assert "hunter2" not in str(caught.value)


def test_secrets_do_not_show(tmp_path: Path) -> None:
    assert "hunter2" not in repr(read_settings(write(tmp_path, 'orthanc_password = "hunter2"')))


def test_a_secrets_file_overrides_the_settings_and_the_environment_overrides_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "curia_token").write_text("of the secret\n")
    (secrets / "curia_database_url").write_text("postgresql+psycopg://u:hunter2@h/d")
    path = write(tmp_path, 'token = "of the file"')
    settings = read_settings(path, secrets=secrets)
    assert settings.token is not None
    assert settings.token.get_secret_value() == "of the secret"
    assert settings.resolved_database_url == "postgresql+psycopg://u:hunter2@h/d"
    monkeypatch.setenv("CURIA_TOKEN", "of the environment")
    assert read_settings(path, secrets=secrets).token.get_secret_value() == "of the environment"


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected a TOML file, found none"):
        read_settings(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("device", "is_taken"),
    [
        ("auto", True), ("cpu", True), ("cuda", True), ("cuda:1", True), ("cuda:all", True), ("cuda:0,cuda:2", True),
        ("gpu", False), ("cuda:", False), ("cpu,cpu", False),
    ],
)  # fmt: skip
def test_a_worker_may_have_the_devices_that_the_application_takes(
    tmp_path: Path, device: str, *, is_taken: bool
) -> None:
    for read, text in ((Settings.read, f'device = "{device}"'), (read_settings, f'devices = ["{device}"]')):
        path = write(tmp_path, text)
        with nullcontext() if is_taken else pytest.raises((ModelError, SettingsError), match="device"):
            read(path)


def test_data_folder_is_made_for_its_user_only(tmp_path: Path) -> None:
    prepare_data_folder(read_settings(write(tmp_path, f'data_folder = "{tmp_path / "new"}"')))
    assert (tmp_path / "new" / "results").stat().st_mode & 0o777 == 0o700


def test_a_data_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="data_folder: .* cannot be written to"):
        prepare_data_folder(read_settings(write(tmp_path, f'data_folder = "{tmp_path / "file"}"')))
