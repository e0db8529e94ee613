"""Other archives that get a copy of the results: by C-STORE through Orthanc's modalities, or by STOW-RS."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class Destination(BaseModel):
    """One ``[[destinations]]`` table: either ``modality`` or ``stow_url``.

    modality : symbolic name of the peer in Orthanc's DicomModalities
    storage_commitment : count the objects as sent only when the peer has committed itself to them; the peer must
        offer the service and know Orthanc as a modality
    stow_url : base of the peer's DICOMweb service, without /studies
    stow_username, stow_password, stow_token : for basic authentication, or a bearer token
    kinds : of results to send, as result.json names them; none sends all
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    modality: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]+$")
    storage_commitment: bool = False
    stow_url: str | None = Field(None, pattern=r"^https?://[^\s]+$")
    stow_username: str | None = None
    stow_password: SecretStr | None = None
    stow_token: SecretStr | None = None
    kinds: frozenset[str] = frozenset()

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.modality is None) == (self.stow_url is None):
            raise ValueError(f"{self.name}: expected either modality or stow_url")
        if self.storage_commitment and self.modality is None:
            raise ValueError(f"{self.name}: storage_commitment goes with modality only")
        return self

    def wants(self, kind: str) -> bool:
        return not self.kinds or kind in self.kinds
