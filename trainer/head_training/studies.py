"""The series that a row of the table means, read and encoded as the application does it."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from operators.dicom.selection.rules import SiteRules
from operators.dicom.selection.series_selection import check_selected, select_series
from operators.dicom.selection.series_splitting import split_series
from operators.dicom.study.read_limits import DEFAULT_LIMITS
from operators.dicom.study.study_index import StudyIndex, check_one_study, index_study
from operators.dicom.volumes.source_series import SourceSeries
from operators.dicom.volumes.volume_reader import read_volume
from operators.domain.features import EncoderInput, FeatureVolume
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.encoder.features import Encoder
from operators.encoder.tensor_file import read_tensors
from operators.errors import InputError
from operators.imaging.array_module import CPU
from operators.model.model_folder import Model
from operators.study_run.reading_chain import ReadingChain
from operators.study_run.region_probe import RegionProbe
from trainer.features.slice_models import SliceModel, Values, snapshot_model
from trainer.ingest.pictures import read_picture

FEATURE_FILE = ".safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class EncodedSeries:
    """The features of a table's row.

    cls : (S, D)
    features : None of a feature file that was written without tokens
    encoder_input : None of every feature file
    """

    cls: NDArray[np.float32]
    features: FeatureVolume | None
    encoder_input: EncoderInput | None


@dataclass(frozen=True, slots=True, eq=False)
class StudyReader:
    """Reads what a table names, with the encoder of a model.

    modality : of the series that are taken
    values : what an image file's numbers mean
    slices : of a series at most so many, evenly spaced; 0 takes all
    """

    model: Model
    encoder: SliceModel
    chain: ReadingChain
    modality: tuple[str, ...]
    values: Values
    slices: int

    @classmethod
    def of(cls, model: Model, *, device: str, modality: Sequence[str], values: Values, slices: int) -> Self:
        """With the application's rules for choosing a series."""
        slice_model = snapshot_model(model.name, model.snapshot, device)
        encoder = slice_model.encoder
        assert isinstance(encoder, Encoder), "a snapshot's model is one"
        settings, regions = model.snapshot.input_settings, model.heads.of("body-region")
        chain = ReadingChain(
            rules=SiteRules().applied(),
            region_probe=RegionProbe(regions[0], encoder, settings, CPU, DEFAULT_LIMITS) if regions else None,
            limits=DEFAULT_LIMITS,
            settings=settings,
            array_module=CPU,
            encoder=encoder,
            cache=None,
            blocks=0,
        )
        return cls(model, slice_model, chain, tuple(modality), values, slices)

    @property
    def width(self) -> int:
        """Width of the features."""
        return self.model.snapshot.config.hidden_size

    def volume(self, path: Path, series: str) -> Volume:
        """The voxels of a study's folder or of an image file, thinned as they are encoded.

        Raises
        ------
        InputError, ValueError
            It cannot be read, or holds no such series.
        """
        return self.thinned(self.whole(path, series))

    def whole(self, path: Path, series: str) -> Volume:
        """The volume with all its slices."""
        return self._dicom(path, series).volume if path.is_dir() else read_picture(path)

    def features(self, path: Path, series: str) -> EncodedSeries:
        """The features of the series; of a feature file those that it holds.

        Raises
        ------
        InputError, ValueError
            It cannot be read, or holds no such series.
        """
        if path.suffix == FEATURE_FILE:
            return self._stored(path, series)
        encoder_input = self.encoder.encoder_input(self.volume(path, series), "hu" if path.is_dir() else self.values)
        features = self.encoder.encoder.encode(encoder_input)
        return EncodedSeries(features.cls, features, encoder_input)

    def thinned(self, volume: Volume) -> Volume:
        """Every so many-th slice, so that no more than the setting are left."""
        depth = volume.geometry.shape[0]
        step = -(-depth // self.slices) if self.slices else 1
        return volume.strided((step, 1, 1)) if step > 1 else volume

    def _dicom(self, folder: Path, series: str) -> SourceSeries:
        with tempfile.TemporaryDirectory() as scratch:
            index = index_study(folder, scratch=Path(scratch))
            check_one_study(index)
            return self._named(index, series) if series else self._best(index)

    def _named(self, index: StudyIndex, uid: str) -> SourceSeries:
        for series in index.series:
            if series.series_instance_uid == uid:
                candidates = split_series(series)
                return read_volume(max(candidates, key=lambda candidate: len(candidate.slices)), role="training")
        raise InputError(f"series {uid}: the study has no such series")

    def _best(self, index: StudyIndex) -> SourceSeries:
        decisions = self.chain.look_again(select_series(index, self.chain.rules, limits=self.chain.limits))
        check_selected(decisions)
        for _, source in self.chain.read_best(decisions).read:
            if source.modality in self.modality:
                return source
        raise InputError(f"study: expected a series of {' or '.join(self.modality)}, none was selected")

    def _stored(self, path: Path, series: str) -> EncodedSeries:
        tensors = read_tensors(path)
        uids = sorted({name.rpartition("/")[0] for name in tensors})
        if (series and series not in uids) or (not series and len(uids) != 1):
            raise InputError(
                f"{path.name}: expected features of {f'series {series}' if series else 'one series'}, the file has "
                f"{len(uids)} series; name one in the table's column for series"
            )
        uid = series or uids[0]
        cls = tensors[f"{uid}/cls"][:]
        if cls.shape[1] != self.width:
            raise InputError(
                f"{path.name}: expected features of width {self.width}, got {cls.shape[1]}; another encoder"
            )
        if not np.isfinite(cls).all():
            raise InputError(f"{path.name}: series {uid}: expected finite features, some are not")
        tokens = tensors.get(f"{uid}/tokens")
        if tokens is None:
            return EncodedSeries(cls, None, None)
        side = round(tokens.shape[1] ** 0.5)
        return EncodedSeries(cls, FeatureVolume(cls, tokens, Geometry(np.eye(4), (len(cls), side, side))), None)


def holds_tokens(path: Path) -> bool:
    """Whether the tokens of a study can be kept: all but those of a feature file that was written without them."""
    if path.suffix != FEATURE_FILE:
        return True
    try:
        return any(name.endswith("/tokens") for name in read_tensors(path))
    except ValueError:
        return False
