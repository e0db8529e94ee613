"""Everything that is loaded once and used for study after study."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from app import __version__
from app.settings import Settings
from operators.encoder.devices import device_names
from operators.encoder.feature_cache import FeatureCache
from operators.encoder.features import Encoder
from operators.imaging.array_module import select_array_module
from operators.model.model_folder import read_model
from operators.registration.alignment import AlignmentSettings
from operators.study_run.deployment import Deployment
from operators.study_run.reading_chain import ReadingChain
from operators.study_run.region_probe import RegionProbe


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    """The deployment, what it reads studies with, and how it aligns a prior."""

    deployment: Deployment
    chain: ReadingChain
    registration: AlignmentSettings
    priors_across_modalities: bool

    @classmethod
    def load(cls, model_folder: Path, settings: Settings) -> Self:
        """Read and check the model, and put the encoder on its device.

        Raises
        ------
        ModelError
            When the model folder or the device is not as it should be.
        """
        array_modules = [select_array_module(name) for name in device_names(settings.device)]
        model = read_model(model_folder, public_key=settings.model_public_key)
        encoder_input = settings.encoder_input(model.snapshot.input_settings)
        rules = settings.selection.applied()
        encoder = Encoder(
            model.snapshot,
            devices=[module.device for module in array_modules],
            precision=settings.precision,
            batch_size=settings.batch_size,
        )
        # Other rules may choose another series, so that a study would have to be read again.
        shown = asdict(encoder_input) | {"precision": encoder.precision, "selection_rules_sha256": rules.digest}
        shown |= {"registration": settings.registration, "registration_points": settings.registration_points}
        shown |= {"priors_across_modalities": settings.priors_across_modalities}
        regions, cache = model.heads.of("body-region"), settings.feature_cache
        chain = ReadingChain(
            rules=rules,
            region_probe=RegionProbe(regions[0], encoder, encoder_input, array_modules[0], settings.limits)
            if regions
            else None,
            limits=settings.limits,
            settings=encoder_input,
            array_module=array_modules[0],
            encoder=encoder,
            cache=FeatureCache(cache, settings.feature_cache_bytes) if cache else None,
            blocks=model.heads.needs.blocks,
        )
        registration = AlignmentSettings(
            kind=settings.registration, points=settings.registration_points, seconds=settings.registration_seconds
        )
        return cls(
            Deployment.of(model, shown, results=settings.results, version=__version__),
            chain,
            registration,
            settings.priors_across_modalities,
        )
