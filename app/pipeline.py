"""Everything that is loaded once and used for study after study."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from app import __version__
from app.settings import Settings
from operators.deployment import Deployment
from operators.domain.features import EncoderInputSettings
from operators.encoder.features import Encoder
from operators.heads.model_folder import read_model
from operators.imaging.array_module import ArrayModule, select_array_module


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    deployment: Deployment
    encoder: Encoder
    encoder_input: EncoderInputSettings
    array_module: ArrayModule

    @classmethod
    def load(cls, model_folder: Path, settings: Settings) -> Self:
        """Read and check the model, and put the encoder on its device.

        Raises
        ------
        ModelError
            When the model folder or the device is not as it should be.
        """
        array_module = select_array_module(settings.device)
        model = read_model(model_folder)
        encoder_input = settings.encoder_input(model.snapshot.input_settings)
        return cls(
            deployment=Deployment.of(model, asdict(encoder_input), version=__version__),
            encoder=Encoder(model.snapshot, device=array_module.device, batch_size=settings.batch_size),
            encoder_input=encoder_input,
            array_module=array_module,
        )
