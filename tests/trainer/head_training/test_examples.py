"""Features are the application's own, extracted once."""

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from encoder_cases import TINY
from head_training_cases import Cohort, made_features
from operators.domain.features import FeatureVolume
from operators.domain.geometry import Geometry
from operators.encoder.feature_file import write_features
from operators.encoder.features import Encoder
from operators.heads.head import SeriesFeatures
from operators.heads.pooled import SeriesMean, needs_of
from operators.imaging.encoder_input import make_encoder_input
from operators.model.model_folder import Model
from trainer.head_training.errors import HeadTrainingError
from trainer.head_training.examples import Example, ExampleStore
from trainer.head_training.settings import Columns
from trainer.head_training.studies import StudyReader
from trainer.head_training.table import Table, read_table

DATA = Path(__file__).parents[2] / "data"
BOTH = ("cls", "mean-token")


def reader_of(model: Model, *, slices: int = 0) -> StudyReader:
    return StudyReader.of(model, device="cpu", modality=["CT"], values="hu", slices=slices)


def one_row(folder: Path, study: str, series: str = "") -> Table:
    (folder / "table.csv").write_text(f"study,patient_id,series\n{study},p,{series}\n")
    return read_table(folder / "table.csv", Columns(), needs_mask=False)


def example_of(folder: Path, model: Model, table: Table, *, slices: int = 0, tokens: bool = True) -> Example:
    store = ExampleStore(folder / "features", reader_of(model, slices=slices))
    (example,) = store.collect(
        table, keeps_tokens=lambda place: tokens, keeps_images=False, needs_mean=True, done=lambda: None
    )
    return example


def test_a_studys_vector_is_what_the_application_gives_its_heads(model: Model, tmp_path: Path) -> None:
    shutil.copytree(DATA / "ct_chest_lidc0314", tmp_path / "study")
    example = example_of(tmp_path, model, one_row(tmp_path, "study"))
    reader = reader_of(model)
    volume = reader.volume(tmp_path / "study", "")
    features = Encoder(model.snapshot).encode(make_encoder_input(volume, model.snapshot.input_settings))
    series, mean = SeriesFeatures(features, volume.geometry, "CT", "1.2"), SeriesMean(BOTH)
    for block in series.blocks(needs_of(BOTH)):
        mean.take(block)
    np.testing.assert_allclose(example.vector(BOTH), mean.vector().numpy(), atol=1e-6)
    np.testing.assert_array_equal(example.features.tokens[:], features.tokens)


def test_a_nifti_file_of_the_same_voxels_gives_the_same_features(model: Model, tmp_path: Path) -> None:
    shutil.copytree(DATA / "ct_chest_lidc0314", tmp_path / "study")
    volume = reader_of(model).volume(tmp_path / "study", "")
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.geometry.affine[:, [2, 1, 0, 3]]
    nibabel.save(nibabel.Nifti1Image(np.asarray(volume.array).transpose(2, 1, 0), ras), tmp_path / "same.nii.gz")
    first, second = (example_of(tmp_path, model, one_row(tmp_path, name)) for name in ("study", "same.nii.gz"))
    np.testing.assert_allclose(first.vector(BOTH), second.vector(BOTH), atol=1e-5)


def test_thinned_series_keep_every_so_many_th_slice(model: Model, tmp_path: Path) -> None:
    shutil.copytree(DATA / "ct_chest_lidc0314", tmp_path / "study")
    table = one_row(tmp_path, "study")
    whole, thin = example_of(tmp_path, model, table), example_of(tmp_path, model, table, slices=16)
    np.testing.assert_allclose(thin.slices(BOTH), whole.slices(BOTH)[::2], atol=1e-6)


def test_a_series_is_found_by_its_uid(model: Model, tmp_path: Path) -> None:
    shutil.copytree(DATA / "ct_chest_lidc0314", tmp_path / "study")
    with pytest.raises(HeadTrainingError, match=r"row 2: series 1\.2\.3: the study has no such series"):
        example_of(tmp_path, model, one_row(tmp_path, "study", "1.2.3"))


def test_what_was_extracted_is_not_extracted_again(model: Model, cohort: Cohort) -> None:
    table = read_table(cohort.write(), Columns(), needs_mask=False)
    store = ExampleStore(cohort.folder / "features", reader_of(model))
    collect: Callable[[], tuple[Example, ...]] = lambda: store.collect(  # noqa: E731
        table, keeps_tokens=lambda place: False, keeps_images=False, needs_mean=True, done=lambda: None
    )
    first = [example.path.stat().st_mtime_ns for example in collect()]
    damaged = collect()[3].path
    damaged.write_bytes(damaged.read_bytes()[:-8])
    again = collect()
    assert [example.path.stat().st_mtime_ns == before for example, before in zip(again, first, strict=True)].count(
        False
    ) == 1
    assert again[3].vector(BOTH).shape == (2 * TINY.hidden_size,)


@pytest.mark.parametrize(
    ("cls", "tokens", "message"),
    [
        (np.full((3, 24), np.nan), np.zeros((3, 16, 24)), "expected finite features"),
        (np.zeros((3, 24)), np.full((3, 16, 24), np.inf), "expected finite features"),
        (np.zeros((3, 32)), np.zeros((3, 16, 32)), "expected features of width 24, got 32"),
    ],
)
def test_features_that_nothing_can_be_fitted_on_are_refused(
    model: Model, tmp_path: Path, cls: np.ndarray, tokens: np.ndarray, message: str
) -> None:
    features = FeatureVolume(cls.astype(np.float32), tokens.astype(np.float32), Geometry(np.eye(4), (3, 4, 4)))
    write_features({"1.2": features}, tmp_path, with_tokens=True)
    with pytest.raises(HeadTrainingError, match=f"row 2: .*{message}"):
        example_of(tmp_path, model, one_row(tmp_path, "features.safetensors"))
    assert not list((tmp_path / "features").glob("*.safetensors"))


def test_a_feature_file_without_tokens_is_too_little_for_a_head_that_reads_them(model: Model, tmp_path: Path) -> None:
    features = made_features(np.random.default_rng(0), nodule=0, effusion=0)
    write_features({"1.2": features}, tmp_path, with_tokens=False)
    with pytest.raises(HeadTrainingError, match="holds CLS alone and this head reads tokens"):
        example_of(tmp_path, model, one_row(tmp_path, "features.safetensors"))


def test_a_study_that_cannot_be_read_is_named_by_its_row(model: Model, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study/notes.txt").write_text("no image")
    with pytest.raises(HeadTrainingError, match=r"table\.csv: row 2: "):
        example_of(tmp_path, model, one_row(tmp_path, "study"))
