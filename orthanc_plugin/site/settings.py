"""The service's settings: one TOML file, overridden by environment variables that start with ``CURIA_``.

Between the two stand files named as these variables, one value each, where a container engine mounts secrets.

The plugin hands its part over in the environment (Orthanc's address and token, the address to listen on), so the
one-machine default needs no file at all.
"""

import socket
import sys
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from orthanc_plugin.domain.errors import SettingsError
from orthanc_plugin.site.destinations import Destination
from orthanc_plugin.site.orthanc_access import OrthancAccess
from orthanc_plugin.site.roles import Roles
from orthanc_plugin.site.rules import SiteRule

Seconds = Annotated[float, Field(gt=0)]
Days = Annotated[float, Field(gt=0)]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda|cuda:all|cuda:\d+(,cuda:\d+)*)$")]
"""What the application's own "device" takes: several GPUs together make one worker."""
DATABASES = ("sqlite", "postgresql+psycopg")
SECRETS = Path("/run/secrets")
GIB = 2**30
FOLDERS = ("source", "results", "features", "encoding")
"""In the data folder: files of studies under way, results, features, and files of studies that are encoded again."""


class ServiceSettings(BaseSettings):
    """Every key, with its default.

    orthanc_url : base address of Orthanc's REST API
    orthanc_username, orthanc_password : an Orthanc user with full rights, when no token is handed over
    orthanc_authorization : a value for the Authorization header; the plugin passes a token of Orthanc's
    listen : host:port of the service's own HTTP side; keep it on loopback
    token : shared secret that callers must send as "Authorization: Bearer <token>"; none lets everybody in
    data_folder : where the database, cached source files and results live
    database_url : SQLAlchemy URL, SQLite in the data folder by default, PostgreSQL for many hosts
    executor_id : name of this host among those that share a database; none takes the machine's host name
    roles : who of Orthanc's users may view, judge, run and read the audit trail
    rules : which studies run, how urgently and when; tried from the first to the last
    destinations : other archives that get a copy of the results
    worker_command : starts the pipeline's worker; only the model and the device are added
    model : a model folder; none takes the embedded demonstration model
    pipeline_config : the pipeline's own settings in a TOML file: series selection, limits and encoder input
    devices : one worker process for each, and as many studies side by side; the same device may stand twice, and
        several GPUs in one entry ("cuda:0,cuda:1", "cuda:all") work on one study together
    quiet_seconds : how long a study must have been silent, on Orthanc's clock, besides being stable
    incomplete_seconds : the same for a study of which fewer images came than the modality told
    overdue_seconds : a study at rest that has no outcome after this long is an alarm
    take_over_seconds : how long another host of the database must be silent before its work is taken over
    retry_seconds : waits between attempts to send to a destination; the last one repeats
    poll_seconds, sweep_seconds : between two looks at the change log, and at all studies
    backlog_days : studies that last changed longer ago are left alone unless somebody asks
    worker_ready_seconds, worker_deadline_seconds : bounds on loading the model and on one study
    worker_memory_gib : a worker that holds more after a study is replaced by a fresh one
    min_free_gib : with less room left in the data folder, studies wait
    keep_results_days, keep_results_gib : the data folder's copies of results go when they are older, or more
    keep_features_days, keep_features_gib : the same for the encoder's features, of which the study page asks what looks
        like a place; with 0 GiB none are kept, and a study is encoded again for who asks
    priors : how many earlier studies of the patient the pipeline is given to compare with; 0 for none
    prior_seconds : time to fetch them in, and then the study runs without
    prior_archive : a name in Orthanc's DicomModalities; that archive is asked (C-FIND) for earlier studies that Orthanc
        does not have, and sends them (C-MOVE); None by default
    priors_across_modalities : CT may be compared with MR; the application's setting of this name has to say so too
    late_priors : an earlier study that comes after a later one was done starts one follow-up run of that
    viewer_url : address of a study in the site's viewer, with {study_instance_uid} where that belongs; the study page
        links there
    archive_patience_seconds : how long a piece of work waits for an Orthanc that does not answer
    stop_with_stdin : end when standard input closes, as the plugin wants it
    log_study_uids : write Study Instance UIDs into the log instead of a keyed hash of them
    """

    model_config = SettingsConfigDict(env_prefix="CURIA_", extra="forbid", frozen=True)

    orthanc_url: str = Field("http://127.0.0.1:8042", pattern=r"^https?://[^\s]+$")
    orthanc_username: str | None = None
    orthanc_password: SecretStr | None = None
    orthanc_authorization: SecretStr | None = None
    listen: str = Field("127.0.0.1:8790", pattern=r"^[^\s:]+:\d{1,5}$")
    token: SecretStr | None = None
    data_folder: Path = Path("/var/lib/curia-pacs")
    database_url: str | None = None
    executor_id: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    rules: tuple[SiteRule, ...] = ()
    destinations: tuple[Destination, ...] = ()
    worker_command: tuple[str, ...] = Field((sys.executable, "-m", "app.worker"), min_length=1)
    model: Path | None = None
    pipeline_config: Path | None = None
    devices: tuple[Device, ...] = Field(("auto",), min_length=1)
    quiet_seconds: Annotated[float, Field(ge=0)] = 5.0
    incomplete_seconds: Annotated[float, Field(ge=0)] = 300.0
    overdue_seconds: Seconds = 3600.0
    take_over_seconds: Seconds = 60.0
    retry_seconds: tuple[Seconds, ...] = Field((10.0, 60.0, 300.0, 900.0, 3600.0), min_length=1)
    poll_seconds: Seconds = 2.0
    sweep_seconds: Seconds = 600.0
    backlog_days: Days = 7.0
    worker_ready_seconds: Seconds = 300.0
    worker_deadline_seconds: Seconds = 1800.0
    worker_memory_gib: Annotated[float, Field(gt=0)] = 16.0
    min_free_gib: Annotated[float, Field(ge=0)] = 1.0
    keep_results_days: Days = 30.0
    keep_results_gib: Annotated[float, Field(ge=0)] = 50.0
    keep_features_days: Days = 7.0
    keep_features_gib: Annotated[float, Field(ge=0)] = 20.0
    priors: Annotated[int, Field(ge=0, le=10)] = 1
    prior_seconds: Seconds = 300.0
    prior_archive: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]+$")
    priors_across_modalities: bool = False
    late_priors: bool = True
    viewer_url: str | None = Field(None, pattern=r"^https?://[^\s]*\{study_instance_uid\}[^\s]*$")
    archive_patience_seconds: Seconds = 3600.0
    roles: Roles = Field(default_factory=Roles)
    stop_with_stdin: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_study_uids: bool = False

    @field_validator("listen")
    @classmethod
    def _port_is_one(cls, listen: str) -> str:
        if not 0 < int(listen.rpartition(":")[2]) < 2**16:
            raise ValueError(f"expected a port from 1 to 65535 in {listen}")
        return listen

    @field_validator("database_url")
    @classmethod
    def _database_is_known(cls, url: str | None) -> str | None:
        # The URL itself stays out of the message: it may hold a password.
        if url is not None and url.partition("://")[0] not in DATABASES:
            raise ValueError("expected a URL that begins with postgresql+psycopg:// or sqlite://")
        return url

    @field_validator("model")
    @classmethod
    def _model_is_a_folder(cls, model: Path | None) -> Path | None:
        if model is not None and not model.is_dir():
            raise ValueError(f"expected a model folder, found none at {model}")
        return model

    @field_validator("pipeline_config")
    @classmethod
    def _config_is_a_file(cls, config: Path | None) -> Path | None:
        if config is not None and not config.is_file():
            raise ValueError(f"expected a TOML file, found none at {config}")
        return config

    @field_validator("rules", "destinations")
    @classmethod
    def _names_differ(cls, named: tuple[SiteRule | Destination, ...]) -> tuple[SiteRule | Destination, ...]:
        names = [one.name for one in named]
        if len(set(names)) < len(names):
            raise ValueError(f"expected different names, got {', '.join(names)}")
        return named

    @model_validator(mode="after")
    def _no_open_door(self) -> Self:
        if self.token is None and self.host not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError(f"token: needed because {self.listen} can be reached from other machines")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, file_secret_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0]

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def orthanc_access(self) -> OrthancAccess:
        return OrthancAccess(self.orthanc_url, self.orthanc_username, self.orthanc_password, self.orthanc_authorization)

    @property
    def resolved_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_folder.absolute() / 'service.sqlite'}"

    @property
    def resolved_executor_id(self) -> str:
        """Only a shared database needs hosts told apart; a single one keeps its work when its name changes."""
        if self.executor_id is not None:
            return self.executor_id
        return "local" if self.resolved_database_url.startswith("sqlite") else socket.gethostname()[:64]

    def full_worker_command(self, device: str) -> tuple[str, ...]:
        model = () if self.model is None else ("-m", str(self.model.absolute()))
        config = () if self.pipeline_config is None else ("--config", str(self.pipeline_config.absolute()))
        return (*self.worker_command, *model, *config, "--device", device)


def read_settings(path: Path | None, *, secrets: Path = SECRETS) -> ServiceSettings:
    """The settings of *path* (none: defaults) under secrets and the environment's, or one sentence on what is wrong.

    secrets : folder with files such as ``curia_token``; it need not be there
    """
    if path is not None and not path.is_file():
        raise SettingsError(f"settings: expected a TOML file, found none at {path}")

    class FromFile(ServiceSettings):
        model_config = SettingsConfigDict(toml_file=path, secrets_dir=secrets if secrets.is_dir() else None)

    try:
        return FromFile()
    except ValidationError as error:
        raise SettingsError("; ".join(_describe(problem) for problem in error.errors())) from error
    except ValueError as error:
        raise SettingsError(f"settings: {path} is not valid TOML: {error}") from error


def _describe(problem: object) -> str:
    assert isinstance(problem, dict)
    # The offending value stays out: it may be a password.
    message = (
        "there is no such key" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
    )
    return ": ".join(("settings", *(str(part) for part in problem["loc"]), message))


def prepare_data_folder(settings: ServiceSettings) -> None:
    """Make the folders that the service writes to, readable by its own user only."""
    try:
        for folder in (settings.data_folder, *(settings.data_folder / name for name in FOLDERS)):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = settings.data_folder / ".write-test"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SettingsError(f"data_folder: {settings.data_folder} cannot be written to: {error.strerror}") from error
