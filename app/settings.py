"""Settings of the application: a TOML file, then the environment (``CURIA_...``), then the command line."""

import tomllib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from operators.dicom.results.result_settings import ResultSettings
from operators.dicom.selection.rules import SiteRules
from operators.dicom.study.read_limits import ReadLimits
from operators.documents import first_problem
from operators.domain.features import EncoderInputSettings
from operators.domain.registration import TransformKind
from operators.errors import ModelError

DEMO_MODEL = Path(__file__).parent / "demo_model"


class Settings(BaseSettings):
    """What a site may set.

    device : "auto", "cpu", "cuda", "cuda:N", or several for one study: "cuda:0,cuda:1" or "cuda:all"
    log_level : of the project's own log
    batch_size : slices that go through the encoder together on each device; 0 chooses from its free memory
    precision : that the encoder runs in; None takes float32 on a CPU and bfloat16 on a GPU
    clip_mode, integer_cast, zscore_scope : see `EncoderInputSettings`; None takes the published behaviour
    feature_cache : folder that keeps features for later runs; None keeps none
    feature_cache_bytes : how large that folder may grow
    registration : how far a prior is aligned
    registration_seconds : that aligning all priors may take; those that are not aligned by then are left out with a
        warning. No digest knows it: what is aligned is aligned alike
    registration_points : of the lattice on which a deformation is looked for, about; fewer are faster and coarser
    priors_across_modalities : a CT is compared with an MR of a prior that has no CT, and the other way round
    model_public_key : PEM file of the Ed25519 key that has to have signed the model folder; None asks for no signature
    limits : what may be read at most; what is read is read alike under any, so no digest knows them
    selection : the site's own rules for choosing series, see docs/series-selection.md
    results : which objects are written and how, see docs/conformance.md
    """

    model_config = SettingsConfigDict(env_prefix="CURIA_", extra="forbid", frozen=True)

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda|cuda:all|cuda:\d+(,cuda:\d+)*)$")
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    batch_size: int = Field(0, ge=0, le=1024)
    precision: Literal["float32", "bfloat16", "float16"] | None = None
    clip_mode: Literal["inert", "effective"] | None = None
    integer_cast: Literal["published", "skip"] | None = None
    zscore_scope: Literal["slice", "volume"] | None = None
    registration: TransformKind = "deformable"
    registration_seconds: float = Field(900.0, gt=0)
    registration_points: int = Field(128**3, ge=16**3, le=512**3)
    priors_across_modalities: bool = False
    model_public_key: Path | None = None
    limits: ReadLimits = Field(default_factory=ReadLimits)
    feature_cache: Path | None = None
    feature_cache_bytes: int = Field(20_000_000_000, ge=0)
    selection: SiteRules = Field(default_factory=SiteRules)
    results: ResultSettings = Field(default_factory=ResultSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings)

    @classmethod
    def read(cls, file: Path | None, **given: Any) -> Self:
        """The settings with what was given on the command line on top; None counts as not given.

        Raises
        ------
        ModelError
            When the file cannot be read or a value is not allowed.
        """
        from_file = _read_toml(file) if file else {}
        try:
            environment = cls().model_dump(exclude_unset=True)
            chosen = {name: value for name, value in given.items() if value is not None}
            return cls(**(from_file | environment | chosen))
        except ValidationError as error:
            raise ModelError(f"settings: {first_problem(error, partial(_place, document=from_file))}") from error

    def encoder_input(self, published: EncoderInputSettings) -> EncoderInputSettings:
        """The snapshot's own input settings with what this site changed."""
        return EncoderInputSettings(
            image_size=published.image_size,
            clip_below_air=published.clip_below_air,
            clip_mode=self.clip_mode or published.clip_mode,
            integer_cast=self.integer_cast or published.integer_cast,
            zscore_scope=self.zscore_scope or published.zscore_scope,
            eps=published.eps,
        )


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"settings: {file} cannot be read as TOML: {error}") from error


def _place(location: Sequence[int | str], document: Any) -> str:
    """Where in the file a value is wrong; rules and roles by their name instead of their number."""
    place: list[str] = []
    is_kind = False
    for part in location:
        if is_kind:
            # pydantic adds which kind of condition it took the table for
            is_kind = False
            continue
        document = _inside(document, part)
        if isinstance(part, int):
            place[-1] += f" {_name(document, part)}"
        else:
            place.append(part)
        is_kind = part in ("when", "not") or (isinstance(part, int) and place[-1].split()[0] in ("all", "any"))
    return ".".join(place)


def _inside(document: Any, part: int | str) -> Any:
    if isinstance(document, dict):
        return document.get(part)
    return document[part] if isinstance(document, list) and isinstance(part, int) else None


def _name(item: Any, number: int) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return repr(name) if isinstance(name, str) else f"number {number + 1}"
