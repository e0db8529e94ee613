"""Building the embedded demonstration model: an encoder pre-trained on open data, heads fitted on its features.

Every figure is of patients that neither the head nor the encoder saw: for each part of the patients an encoder is
trained without it, by the settings and for the time of the one that is shipped.
"""

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from structlog import get_logger

from operators.encoder.features import Encoder
from operators.encoder.snapshot import Snapshot, read_snapshot
from operators.heads.head import HeadRecord
from operators.heads.labels import Label
from operators.heads.linear import Linear
from operators.heads.scope import Modality
from trainer.demo_model.body_region import (
    Results,
    body_region_record,
    fit_body_region,
    judge_regions,
    measure_body_region,
)
from trainer.demo_model.embedded_encoder import Counts, TrainedEncoder, ingest_parts, train_encoders
from trainer.demo_model.encoded_data import EncodedData, encode_data, read_source_data
from trainer.demo_model.head_labels import MASS, ORGANS, REGIONS
from trainer.demo_model.organs import fit_organs, judge_organs, measure_organs, organs_record
from trainer.demo_model.soft_tissue_mass import (
    Judged,
    MassFigures,
    compare_masses,
    fit_mass,
    fit_readout,
    mass_record,
    measure_masses,
)
from trainer.demo_model.training_processes import THREADS
from trainer.demo_model.unlabelled_stacks import unlabelled_stacks
from trainer.evaluation.folds import patient_folds
from trainer.export.model_folder import write_digests, write_head, write_model_file, write_snapshot
from trainer.features.encoded_scans import EncodedScan, SliceEncoder, encode_scans, only, without
from trainer.features.pixel_statistics import PatchPlace, PixelStatistics, SideBySide
from trainer.features.random_features import RandomEncoderSettings, random_state
from trainer.pretraining.config import read_config
from trainer.pretraining.model.student_teacher import StudentTeacher

VERSION = "0.3.0"
SEED = 2
NUM_PARTS = 2
CONFIG = Path(__file__).parents[1] / "pretraining/configs/embedded.toml"

COLLECTIONS = (
    "LIDC-IDRI (The Cancer Imaging Archive, CC BY 3.0): patient LIDC-IDRI-0314, the patient of the bundled demo study",
    "Soft-tissue-Sarcoma (The Cancer Imaging Archive, CC BY 3.0; Vallieres 2015), IBSI set: STS_001 to STS_016",
    "TotalSegmentator test images (Apache-2.0): two CT, one MR",
    "DTU image analysis course (CC BY 4.0): seven abdomen CT slices",
    "open_ms_data (CC BY; Lesjak 2016): longitudinal patient 01, MR",
    "dcm_qa_decubitus (BSD-2-Clause): one person, MR",
    "COVID-19-NY-SBU (The Cancer Imaging Archive): CT slices of three people, measured on, never trained or fitted on",
)

PROTOCOL = (
    f"{NUM_PARTS}-fold cross-validation over patients; of each fold both the encoder and the head were trained on the "
    "other patients only; intervals by bootstrap over patients"
)

COMPARISON = (
    "the same folds, grid and fit of the head on other features; before-training: the weights that the training begins "
    "with; random-features: the same architecture with seeded random weights; pixel-statistics: mean, standard "
    "deviation and percentiles of each patch of the encoder's input; place: row and column of each patch with their "
    "squares and product, nothing of the image; slice_auc: by the head, from patch tokens; slice_auc_from_cls: by a "
    "linear map of CLS (its stand-in: the mean of the patches); lesion_dice_of_the_fitted: of the patients that the "
    "head was fitted on; trained_minus_this: differences patient by patient, intervals by bootstrap over patients"
)

Measured = dict[str, float | int | str]
Table = dict[str, dict[str, float | int | str]]
log = get_logger()

_JUDGED: dict[Modality, tuple[Modality, ...]] = {"CT": ("CT", "MR"), "MR": ("MR",)}
"""What a head that was fitted on a modality is asked about."""


@dataclass(slots=True)
class _Verdicts:
    """Of one kind of encoder, part after part."""

    masses: dict[tuple[Modality, Modality], list[Judged]] = field(default_factory=lambda: defaultdict(list))
    fitted: dict[Modality, list[Judged]] = field(default_factory=lambda: defaultdict(list))
    organs: dict[str, dict[str, float]] = field(default_factory=dict)
    regions: Results = field(default_factory=dict)

    def add_masses(self, sarcomas: Sequence[EncodedScan], held_out: frozenset[str]) -> None:
        shown, asked = without(sarcomas, held_out), only(sarcomas, held_out)
        for modality, judged_on in _JUDGED.items():
            scans = [scan.sparse() for scan in shown if scan.scan.modality == modality]
            readout = fit_readout(scans, seed=SEED)
            self.fitted[modality] += map(readout.judge, scans)
            for other in judged_on:
                self.masses[modality, other] += [readout.judge(scan) for scan in asked if scan.scan.modality == other]

    def measure_masses(self, parts: Sequence[frozenset[str]]) -> dict[Modality, MassFigures]:
        return {
            modality: measure_masses(
                self.masses[modality, modality],
                parts,
                protocol=PROTOCOL,
                seed=SEED,
                fitted=self.fitted[modality],
                transferred=self.masses["CT", "MR"] if modality == "CT" else (),
            )
            for modality in _JUDGED
        }


class DemoModelBuilder:
    """Trains, fits, measures and writes the embedded model.

    work : folder of shards, runs and snapshots; whatever is finished there is not made again
    """

    def __init__(self, data: Path, out: Path, work: Path, config: Path = CONFIG) -> None:
        self.out, self.work = out, work
        self.config_name, self.config_sha256 = config.name, hashlib.sha256(config.read_bytes()).hexdigest()
        self.config = read_config(config)
        self.stacks = tuple(unlabelled_stacks(data))
        self.source = read_source_data(data, seed=SEED)
        self.parts = patient_folds(self.source.patients, NUM_PARTS)

    def build(self) -> dict[str, Measured]:
        """Write the whole model folder; the measured figures of each head."""
        counts = ingest_parts(self.stacks, self.parts, self.work)
        verdicts, seconds = _Verdicts(), []
        with closing(train_encoders(self.config, self.work, len(self.parts))) as trainings:
            for held_out in self.parts:
                trained = next(trainings)
                seconds.append(round(trained.seconds))
                encoded = self._encode(read_snapshot(trained.snapshot), judged=held_out)
                verdicts.add_masses(encoded.sarcomas, held_out)
                verdicts.organs |= judge_organs(encoded.organs, encoded.framed, held_out)
                verdicts.regions |= judge_regions(encoded.regions, held_out)
            trained = next(trainings)
        snapshot = read_snapshot(trained.snapshot)
        masses = verdicts.measure_masses(self.parts)
        measured = self._write_heads(snapshot, verdicts, masses)
        compared = self._compare(snapshot, masses)
        shutil.copytree(trained.snapshot, self.out / "encoder", dirs_exist_ok=True)
        encoder = self._encoder_record(trained, counts) | {"seconds_of_the_judged_encoders": seconds}
        write_model_file(_model_record(encoder, measured, compared), self.out)
        write_digests(self.out)
        return measured

    def _encode(self, snapshot: Snapshot, *, judged: frozenset[str]) -> EncodedData:
        return encode_data(self.source, Encoder(snapshot), snapshot.input_settings, judged=judged)

    def _write_heads(
        self, snapshot: Snapshot, verdicts: _Verdicts, masses: Mapping[Modality, MassFigures]
    ) -> dict[str, Measured]:
        """Heads on the features of the encoder that has seen all patients; the figures are those of the others."""
        encoded, sha256 = self._encode(snapshot, judged=frozenset()), snapshot.sha256
        unseen = list(encode_scans(self.source.unseen, Encoder(snapshot), snapshot.input_settings))
        organs, regions = fit_organs(encoded.framed), fit_body_region(encoded.regions)
        organs_measured = measure_organs(verdicts.organs, unseen, organs)
        regions_measured = measure_body_region(verdicts.regions, unseen, regions)
        heads: list[tuple[HeadRecord, Sequence[Label], Linear]] = [
            (organs_record(sha256, organs_measured, VERSION), ORGANS, organs),
            (body_region_record(sha256, regions_measured, VERSION), REGIONS, regions),
        ]
        for modality, figures in masses.items():
            mass = mass_record(figures, modality=modality, encoder_sha256=sha256, version=VERSION)
            scans = [scan for scan in encoded.sarcomas if scan.scan.modality == modality]
            heads.append((mass, [MASS], fit_mass(scans, seed=SEED)))
        for record, labels, linear in heads:
            write_head(record, labels, linear.tensors, self.out / "heads" / record.name)
            log.info(record.name, **record.measured)
        return {record.name: record.measured for record, _, _ in heads}

    def _compare(self, snapshot: Snapshot, trained: Mapping[Modality, MassFigures]) -> dict[str, Table]:
        """The same protocol for what nothing was learned in, which so has seen nobody."""
        others: dict[Modality, dict[str, MassFigures]] = {modality: {} for modality in trained}
        for name, encoder in self._untrained(snapshot).items():
            verdicts = _Verdicts()
            sarcomas = list(encode_scans(self.source.sarcomas, encoder, snapshot.input_settings))
            for held_out in self.parts:
                verdicts.add_masses(sarcomas, held_out)
            for modality, figures in verdicts.measure_masses(self.parts).items():
                others[modality][name] = figures
                log.info(name, modality=modality, **figures.measured)
        return {
            f"soft-tissue-mass-{modality.lower()}": compare_masses(trained[modality], figures, seed=SEED)
            for modality, figures in others.items()
        }

    def _untrained(self, snapshot: Snapshot) -> dict[str, SliceEncoder]:
        first = self.config.at_stage(self.config.stages[0])
        states = {
            "before-training": (StudentTeacher(first).teacher_encoder_state(), first.encoder_config),
            "random-features": (random_state(snapshot.config, RandomEncoderSettings(seed=SEED)), snapshot.config),
        }
        encoders = {}
        for name, (state, config) in states.items():
            folder = self.work / "snapshots" / name
            write_snapshot(state, config, snapshot.input_settings, folder)
            encoders[name] = Encoder(read_snapshot(folder))
        pixels, place = PixelStatistics(snapshot.config.patch_size), PatchPlace(snapshot.config.patch_size)
        return {
            **encoders,
            "pixel-statistics": pixels,
            "place": place,
            "pixel-statistics-and-place": SideBySide(pixels, place),
        }

    def _encoder_record(self, trained: TrainedEncoder, counts: Counts) -> dict[str, object]:
        return {
            "features": (
                "pre-trained without labels on the slices counted below, by the recipe of docs/pre-training.md; "
                "the slices of the bundled demo study were left out"
            ),
            "config": f"trainer/pretraining/configs/{self.config_name}",
            "config_sha256": self.config_sha256,
            "chosen_by": (
                "settings and length of the pre-training were tried out on 12 of the 16 sarcoma patients that the "
                "figures below are of; the gains of the random weights and the strengths of the fits were chosen among "
                "about a dozen by figures of all of them; both flatters"
            ),
            "seed": self.config.run.seed,
            "steps": trained.steps,
            "slices_seen": trained.slices_seen,
            "seconds": round(trained.seconds),
            "threads": THREADS,
            "slices": counts["slices"]["train"],
            "slices_by_modality": counts["modality"],
            "volumes": counts["volumes"]["train"],
            "at_the_end": trained.signs,
        }


def _model_record(
    encoder: Mapping[str, object], measured: Mapping[str, Measured], compared: Mapping[str, Table]
) -> dict[str, object]:
    return {
        "name": "curia-pacs-demo",
        "version": VERSION,
        "demonstration": True,
        "licence": "Apache-2.0; trained on data under CC BY 3.0, CC BY 4.0, BSD-2 and Apache-2.0, named below",
        "intended_use": "Shows that the pipeline works. Research use only; its results say nothing about a patient.",
        "encoder": encoder,
        "data": list(COLLECTIONS),
        "reproduce": {"command": "python -m trainer demo-model --data DIR --out app/demo_model"},
        "measured": measured,
        "compared": {"protocol": COMPARISON, **compared},
    }
