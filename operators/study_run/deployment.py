"""What stays the same from study to study: model, settings and code, and the identity they give to results."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from operators.dicom.results.provenance import Provenance
from operators.dicom.results.result_settings import ResultSettings
from operators.dicom.results.uids import RunIdentity
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.finding import Algorithm
from operators.domain.prompt import MarkedRegion
from operators.model.model_folder import Model

SettingValue = str | int | float | bool


@dataclass(frozen=True, slots=True, eq=False)
class Deployment:
    """A model with the settings and the code version it runs under.

    settings : every setting that changes results, by name
    results : which of them are written, and how
    """

    model: Model
    settings: Mapping[str, SettingValue]
    results: ResultSettings
    provenance: Provenance

    @classmethod
    def of(cls, model: Model, settings: Mapping[str, SettingValue], *, results: ResultSettings, version: str) -> Self:
        settings = {**settings, **results.listed}
        listing = json.dumps(settings, sort_keys=True)
        provenance = Provenance(
            model_name=model.name,
            software_versions=f"model {model.version}, code {version}",
            model_digest=model.digest,
            settings_digest=hashlib.sha256(listing.encode()).hexdigest(),
            demonstration=model.demonstration,
            institution_name=results.institution_name,
            series_names={kind: name for kind, name in results.series_descriptions.items()},
        )
        return cls(model, settings, results, provenance)

    @property
    def digest(self) -> str:
        """Changes with weights, heads, settings and code: the pipeline's part in a piece of work's identity."""
        return hashlib.sha256(self.provenance.device_uid.encode()).hexdigest()

    @property
    def algorithms(self) -> dict[str, Algorithm]:
        return {head.algorithm.name: head.algorithm for head in self.model.heads.all}

    def algorithm_of(self, step: str) -> Algorithm:
        """A step of the code that has no weights of its own: its version and the settings that it ran under tell it."""
        return Algorithm(step, self.provenance.software_versions, self.provenance.settings_digest)

    def identity(self, sources: Iterable[SourceSeries], *, marked: MarkedRegion | None = None) -> RunIdentity:
        """What every UID of a run is derived from.

        marked : that the results are of, which makes them others than those of the study
        """
        digests = "\n".join(sorted(source.digest for source in sources))
        return RunIdentity(
            source_digest=hashlib.sha256(digests.encode()).hexdigest(),
            model_digest=self.model.digest,
            # The code's version counts as a setting: another version may write another result.
            settings_digest=self.digest if marked is None else f"{self.digest} {marked.digest}",
        )
