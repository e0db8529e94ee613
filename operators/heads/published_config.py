"""What a published head's config.json says, and what a site may add in a head.toml beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from operators.domain.concepts import NO_UNITS, Code
from operators.errors import CheckpointError
from operators.heads.attention import Block
from operators.heads.classes import ClassRecord, ClassSettings
from operators.heads.records import read_toml
from operators.heads.scope import Modality, Scope
from operators.heads.values import ValueRecord

CONFIG = "config.json"


class Known(NamedTuple):
    """What is known of a head that Raidium publishes, beyond its config.json (docs/heads.md)."""

    modality: tuple[Modality, ...]
    reads_mask: bool | None


KNOWN: Mapping[str, Known] = {
    "anatomy-ct": Known(("CT",), True),
    "anatomy-mri": Known(("MR",), True),
    "ixi": Known(("MR",), False),
    "luna16-3D": Known(("CT",), True),
    "luna16": Known(("CT",), True),
    "kits": Known(("CT",), True),
    "deep-lesion-site": Known(("CT",), True),
    "neural_foraminal_narrowing": Known(("MR",), True),
    "subarticular_stenosis": Known(("MR",), True),
    "spinal_canal_stenosis": Known(("MR",), True),
    "kneeMRI": Known(("MR",), False),
    "kneeMRI-3D": Known(("MR",), False),
    "ich": Known(("CT",), False),
    "emidec-classification-mask": Known(("MR",), True),
    "abdominal-trauma": Known(("CT",), None),
    "atlas-stroke": Known(("MR",), None),
    "covidx-ct": Known(("CT",), False),
    "oasis": Known(("MR",), False),
    "oasis-1-3D": Known(("MR",), False),
}


class _AttentionConfig(BaseModel):
    """attention_cfg of config.json; the published code fixes what is not here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    num_heads: int = Field(1, gt=0)
    num_queries: int = Field(1, gt=0)
    block: tuple[Block, ...] = Field(("self", "cross"), min_length=1)


class PublishedConfig(BaseModel):
    """config.json of a published head; names and defaults are the published configuration class's."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_type: Literal["dinov2_custom_classifier"]
    num_classes: int = Field(2, gt=0)
    num_slices: int | None = Field(None, gt=0)
    kernel_size: int | None = Field(None, gt=0)
    use_n_blocks: int | None = Field(1, gt=0)
    use_class_token: bool = False
    use_avgpool_per_slice: bool = False
    use_avgpool_on_the_volume: bool = False
    attention_cfg: _AttentionConfig | None = None
    regression: bool = False

    @property
    def says_volume(self) -> bool:
        """Whether anything in it has a meaning for volumes alone."""
        return bool(
            self.attention_cfg
            or self.num_slices
            or self.kernel_size
            or self.use_avgpool_per_slice
            or self.use_avgpool_on_the_volume
        )


class _Settings(Scope, ClassSettings):
    """head.toml beside a published head: everything may be left out.

    encoder_sha256 : needed where the folder holds no copy of its encoder
    input : whether the head reads each slice by itself or the volume; None goes by config.json
    reads_mask, mask_segment : whether it reads a region of interest, and the segment whose mask that is
    aggregate : how a head for single slices comes to the series' value; None takes the largest of a class, the mean of
        a regression's values
    """

    version: str = ""
    encoder_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    modality: tuple[Modality, ...] = ()
    input: Literal["slice", "volume"] | None = None
    reads_mask: bool | None = None
    mask_segment: str | None = None
    aggregate: Literal["max", "mean"] | None = None
    quantity: str = ""
    code: Code | None = None
    unit: Code = NO_UNITS

    @model_validator(mode="after")
    def _check(self) -> "_Settings":
        if self.reads_mask is False and self.mask_segment:
            raise ValueError("mask_segment: a head with reads_mask = false takes none")
        return self


class PublishedRecord(ClassRecord, ValueRecord):
    """config.json and head.toml together.

    reads_mask : None where nobody says
    """

    task: Literal["classification", "regression"]
    kind: Literal["published"] = "published"
    config: PublishedConfig
    input: Literal["slice", "volume"]
    reads_mask: bool | None
    mask_segment: str | None
    aggregate: Literal["max", "mean"]

    @property
    def num_blocks(self) -> int:
        """Blocks whose outputs make a token's features; with a mask the published code takes the last alone."""
        return 1 if self.reads_mask else self.config.use_n_blocks or 1


def read_published_record(
    folder: Path, *, encoder_sha256: str, weights_sha256: str
) -> tuple[PublishedRecord, str | None]:
    """The record, and the encoder that head.toml names.

    Raises
    ------
    CheckpointError
        A file is malformed, or its entries contradict one another.
    """
    config = _read_config(folder / CONFIG)
    settings = (
        read_toml(folder / "head.toml", TypeAdapter(_Settings)) if (folder / "head.toml").is_file() else _Settings()
    )
    known = KNOWN.get(folder.name, Known(("CT", "MR"), None))
    reads_mask = True if settings.mask_segment else settings.reads_mask
    record = PublishedRecord(
        task="regression" if config.regression else "classification",
        name=folder.name,
        version=settings.version or f"published {weights_sha256[:12]}",
        encoder_sha256=encoder_sha256,
        data="as the publisher states",
        config=config,
        input=settings.input or ("volume" if config.says_volume else "slice"),
        reads_mask=known.reads_mask if reads_mask is None else reads_mask,
        mask_segment=settings.mask_segment,
        aggregate=settings.aggregate or ("mean" if config.regression else "max"),
        quantity=settings.quantity,
        code=settings.code,
        unit=settings.unit,
        **{name: getattr(settings, name) for name in (*Scope.model_fields, *ClassSettings.model_fields)}
        | {"modality": settings.modality or known.modality},
    )
    _check(record)
    return record, settings.encoder_sha256


def _read_config(path: Path) -> PublishedConfig:
    try:
        return PublishedConfig.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "file"
        raise CheckpointError(f"{path.parent.name}/{path.name}: {field}: {first['msg']}") from error


def _check(record: PublishedRecord) -> None:
    """What the published code would stumble over."""
    config, place = record.config, f"{record.name}/{CONFIG}"
    if record.input == "slice":
        return
    # The published code asks for the averaging per slice first.
    averages_volume = config.use_avgpool_on_the_volume and not config.use_avgpool_per_slice
    if averages_volume and config.attention_cfg:
        raise CheckpointError(
            f"{place}: attention_cfg and use_avgpool_on_the_volume: one vector leaves nothing to attend to"
        )
    if not (config.attention_cfg or averages_volume or config.use_avgpool_per_slice):
        raise CheckpointError(f"{place}: a head for volumes needs attention_cfg or one of the averagings")
