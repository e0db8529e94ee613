"""Everything that is loaded once and used for study after study."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from app import __version__
from app.settings import Settings
from operators.dicom.selection.rules import SelectionRules
from operators.dicom.study.read_limits import ReadLimits
from operators.domain.features import EncoderInputSettings
from operators.encoder.devices import device_names
from operators.encoder.feature_cache import FeatureCache
from operators.encoder.features import Encoder
from operators.imaging.array_module import ArrayModule, select_array_module
from operators.model.model_folder import read_model
from operators.study_run.deployment import Deployment
from operators.study_run.region_probe import RegionProbe


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    deployment: Deployment
    encoder: Encoder
    encoder_input: EncoderInputSettings
    selection_rules: SelectionRules
    limits: ReadLimits
    array_module: ArrayModule
    feature_cache: FeatureCache | None

    @property
    def region_probe(self) -> RegionProbe | None:
        """None for a model without a body-region head."""
        heads = self.deployment.model.heads.of("body-region")
        return (
            RegionProbe(heads[0], self.encoder, self.encoder_input, self.array_module, self.limits) if heads else None
        )

    @classmethod
    def load(cls, model_folder: Path, settings: Settings) -> Self:
        """Read and check the model, and put the encoder on its device.

        Raises
        ------
        ModelError
            When the model folder or the device is not as it should be.
        """
        array_modules = [select_array_module(name) for name in device_names(settings.device)]
        model = read_model(model_folder)
        encoder_input = settings.encoder_input(model.snapshot.input_settings)
        selection_rules = settings.selection.applied()
        encoder = Encoder(
            model.snapshot,
            devices=[module.device for module in array_modules],
            precision=settings.precision,
            batch_size=settings.batch_size,
        )
        # Other rules may choose another series, so that a study would have to be read again.
        rules = {"selection_rules_sha256": selection_rules.digest}
        shown = asdict(encoder_input) | {"precision": encoder.precision} | rules
        cache = settings.feature_cache
        return cls(
            deployment=Deployment.of(model, shown, results=settings.results, version=__version__),
            encoder=encoder,
            encoder_input=encoder_input,
            selection_rules=selection_rules,
            limits=settings.limits,
            array_module=array_modules[0],
            feature_cache=FeatureCache(cache, settings.feature_cache_bytes) if cache else None,
        )
