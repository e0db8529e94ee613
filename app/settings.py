"""Settings of the application: a TOML file, then the environment (``CURIA_...``), then the command line."""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from operators.domain.features import EncoderInputSettings
from operators.errors import ModelError

DEMO_MODEL = Path(__file__).parent / "demo_model"


class Settings(BaseSettings):
    """device : "auto", "cpu", "cuda" or "cuda:N"
    log_level : of the project's own log
    batch_size : slices that go through the encoder together
    clip_mode, zscore_scope : see `EncoderInputSettings`; None takes the published behaviour
    """

    model_config = SettingsConfigDict(env_prefix="CURIA_", extra="forbid", frozen=True)

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    batch_size: int = Field(4, ge=1, le=1024)
    clip_mode: Literal["inert", "effective"] | None = None
    zscore_scope: Literal["slice", "volume"] | None = None

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
        try:
            from_file = tomllib.loads(file.read_text(encoding="utf-8")) if file else {}
            environment = cls().model_dump(exclude_unset=True)
            chosen = {name: value for name, value in given.items() if value is not None}
            return cls(**(from_file | environment | chosen))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ModelError(f"settings: {file} cannot be read as TOML: {error}") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ModelError(f"settings: {place}: {first['msg']}, got {first.get('input')!r}") from error

    def encoder_input(self, published: EncoderInputSettings) -> EncoderInputSettings:
        """The snapshot's own input settings with what this site changed."""
        return EncoderInputSettings(
            image_size=published.image_size,
            clip_below_air=published.clip_below_air,
            clip_mode=self.clip_mode or published.clip_mode,
            zscore_scope=self.zscore_scope or published.zscore_scope,
            eps=published.eps,
        )
