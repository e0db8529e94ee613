"""The embedded model, from the open data to the finished folder and its figures."""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

from structlog import get_logger

from operators.encoder.features import Encoder
from operators.encoder.snapshot import Snapshot, read_snapshot
from trainer.demo_model.body_region import body_region_record, fit_body_region, measure_body_region, region_scans
from trainer.demo_model.cases import Case, draw_cases
from trainer.demo_model.cropped import cropped
from trainer.demo_model.embedded_encoder import Counts, TrainedEncoder, ingest_stacks, train_encoder
from trainer.demo_model.framings import other_framings
from trainer.demo_model.head_labels import ORGANS, REGIONS, structure
from trainer.demo_model.held_out import is_held_out
from trainer.demo_model.open_data import (
    make_phantoms,
    read_organ_scans,
    read_region_scans,
    read_sarcoma_scans,
    read_unseen_slices,
)
from trainer.demo_model.organs import fit_organs, judge_organs, measure_organs, organs_record
from trainer.demo_model.outlined_heads import HEADS, record_of
from trainer.demo_model.outlines import fit_outline, measure_outline, outlined_scans
from trainer.demo_model.pack_scans import (
    read_body_scans,
    read_hippocampus_scans,
    read_nodule_scans,
    read_pair_scans,
    read_tumour_scans,
    read_ventricle_scans,
)
from trainer.demo_model.training_processes import THREADS
from trainer.demo_model.unlabelled_stacks import unlabelled_stacks
from trainer.export.model_card import write_card
from trainer.export.model_folder import write_digests, write_head, write_model_file
from trainer.features.scans import Scan
from trainer.head_training.head_folder import write_feature_fit
from trainer.heads.decoder import decoder_tensors
from trainer.pretraining.config import read_config

SEED = 0
VERSION = "0.5.0"
CONFIG = Path(__file__).parents[1] / "pretraining/configs/embedded.toml"
GUIDE = Path(__file__).parent / "guide/efficientnet_lite0.safetensors"

COLLECTIONS = (
    "brain tumour MR (Cheng 2015, figshare 1512427, CC BY 4.0): 147 families",
    "LIDC-IDRI (The Cancer Imaging Archive, CC BY 3.0): crops around the nodules of 604 people; patient "
    "LIDC-IDRI-0314, the patient of the bundled demo study",
    "Sunnybrook Cardiac Data (Radau 2009, CC0 1.0): 30 people",
    "Medical Segmentation Decathlon, hippocampus (CC BY-SA 4.0): 105 crops",
    "Brain-Tumor-Progression (The Cancer Imaging Archive, CC BY 3.0): 4 people",
    "TCGA-LUAD (The Cancer Imaging Archive, CC BY 3.0): 28 people",
    "Soft-tissue-Sarcoma (The Cancer Imaging Archive, CC BY 3.0; Vallieres 2015), IBSI set: STS_001 to 019, 021 to 024",
    "TotalSegmentator test images (Apache-2.0): two CT, one MR",
    "DTU image analysis course (CC BY 4.0): seven abdomen CT slices",
    "open_ms_data (CC BY; Lesjak 2016): longitudinal patient 01, MR",
    "dcm_qa_decubitus (BSD-2-Clause): one person, MR",
    "COVID-19-NY-SBU (The Cancer Imaging Archive): CT slices of three people, measured on, never trained or fitted on",
    "EfficientNet-Lite0 trained on ImageNet (Apache-2.0): the network whose features were distilled",
)

Measured = dict[str, float | int | str]
log = get_logger()


class DemoModelBuilder:
    """Trains, fits, measures and writes the embedded model.

    work : folder of shards, run and snapshot; whatever is finished there is not made again. `cases.png` there shows the
        best and the worst held-out person of the heads whose images may be shown
    """

    def __init__(self, data: Path, out: Path, work: Path, config: Path = CONFIG) -> None:
        self.data, self.out, self.work = data, out, work
        self.config_name, self.config_sha256 = config.name, hashlib.sha256(config.read_bytes()).hexdigest()
        self.config = read_config(config)

    def build(self) -> dict[str, Measured]:
        """Write the whole model folder; the measured figures of each head."""
        counts = ingest_stacks((s for s in unlabelled_stacks(self.data) if not is_held_out(s.patient)), self.work)
        trained = train_encoder(self.config, GUIDE, self.work)
        shutil.rmtree(self.out, ignore_errors=True)
        shutil.copytree(trained.snapshot, self.out / "encoder")
        snapshot = read_snapshot(self.out / "encoder")
        measured = {
            "body-region": self._body_region(snapshot),
            "organs": self._organs(snapshot),
            **self._outlines(snapshot),
        }
        write_model_file(self._model_record(self._encoder_record(trained, counts), measured), self.out)
        write_card(self.out)
        write_digests(self.out)
        return measured

    def _body_region(self, snapshot: Snapshot) -> Measured:
        whole = [
            scan.thinned(scan.sparse_step)
            for scan in chain(
                read_tumour_scans(self.data),
                read_ventricle_scans(self.data),
                read_nodule_scans(self.data),
                read_hippocampus_scans(self.data),
                read_pair_scans(self.data),
                read_body_scans(self.data),
                read_sarcoma_scans(self.data),
                read_organ_scans(self.data),
                read_region_scans(self.data),
                make_phantoms(SEED),
            )
        ]
        # Every other person also as a narrower field of view would show them.
        people = sorted({scan.patient for scan in whole})
        narrowed = {name for place, name in enumerate(people) if place % 2 == 0}
        scans: list[Scan] = [*whole, *(cropped(scan) for scan in whole if scan.patient in narrowed)]
        encoded = region_scans(scans, Encoder(snapshot), snapshot.input_settings)
        linear = fit_body_region([scan for scan in encoded if not is_held_out(scan.patient)])
        measured = measure_body_region(encoded, linear, seed=SEED, tell=log.info)
        record = body_region_record(snapshot.sha256, measured, VERSION)
        write_head(record, REGIONS, linear.tensors, self.out / "heads" / record.name)
        log.info(record.name, **measured)
        return measured

    def _organs(self, snapshot: Snapshot) -> Measured:
        """On held-out people, and leaving out each of the two who are labelled otherwise than by rule."""
        encoder, settings = Encoder(snapshot), snapshot.input_settings
        scans = [*read_organ_scans(self.data), *read_body_scans(self.data)]
        organs = list(outlined_scans(iter(scans), encoder, settings))
        framings = (framing for scan in scans if not is_held_out(scan.patient) for framing in other_framings(scan))
        shown = [scan for scan in organs if not scan.held_out] + list(outlined_scans(framings, encoder, settings))
        figures = judge_organs([scan for scan in organs if scan.scan.patient.startswith("TotalSegmentator")], shown)
        unseen = list(outlined_scans(read_unseen_slices(self.data), encoder, settings))
        decoder = fit_organs(shown)
        held_out = [scan for scan in organs if scan.held_out]
        measured = measure_organs(figures, held_out, unseen, decoder, seed=SEED)
        record = organs_record(snapshot.sha256, measured, VERSION)
        write_head(record, ORGANS, decoder_tensors(decoder), self.out / "heads" / record.name)
        log.info(record.name, **measured)
        return measured

    def _outlines(self, snapshot: Snapshot) -> dict[str, Measured]:
        """Heads that are good enough to be shown; of the others the figures alone."""
        found: dict[str, Measured] = {}
        cases: list[Case] = []
        for head in HEADS:
            scans = list(outlined_scans(head.scans(self.data), Encoder(snapshot), snapshot.input_settings))
            decoder = fit_outline(scans)
            figures = measure_outline(
                decoder,
                scans,
                minimum_volume_ml=head.minimum_volume_ml,
                threshold=0.0 if head.task == "segmentation" else None,
                seed=SEED,
            )
            is_shown = float(figures.measured["dice"]) >= head.lowest_dice
            found[head.name] = figures.measured | {"shipped": "yes" if is_shown else "no: too weak to be shown"}
            log.info(head.name, **found[head.name])
            if is_shown:
                record = record_of(head, figures, encoder_sha256=snapshot.sha256, version=VERSION)
                place = self.out / "heads" / head.name
                write_head(record, [structure(head.label)], decoder_tensors(decoder), place)
                write_feature_fit(figures.scope.fit, place)
                if head.may_be_drawn:
                    cases += [replace(case, title=f"{head.name}\n{case.title}") for case in figures.cases]
        draw_cases(cases, self.work / "cases.png")
        return found

    def _encoder_record(self, trained: TrainedEncoder, counts: Counts) -> dict[str, object]:
        return {
            "features": (
                "pre-trained without labels on the slices counted below (docs/pre-training.md, docs/demo-model.md): "
                "features of EfficientNet-Lite0 distilled at masked patches too, and masked pixels filled in. A third "
                "of the people were never shown, nor the slices of the bundled demo study"
            ),
            "config": f"trainer/pretraining/configs/{self.config_name}",
            "config_sha256": self.config_sha256,
            "guide_sha256": hashlib.sha256(GUIDE.read_bytes()).hexdigest(),
            "seed": self.config.run.seed,
            "steps": trained.steps,
            "slices_seen": trained.slices_seen,
            "seconds": round(trained.seconds),
            "threads": THREADS,
            "patients": counts["patients"]["train"],
            "slices": counts["slices"]["train"],
            "slices_by_modality": counts["modality"],
            "slices_by_values": counts["values"],
            "at_the_end": trained.signs,
        }

    def _model_record(self, encoder: Mapping[str, object], measured: Mapping[str, Measured]) -> dict[str, object]:
        return {
            "name": "curia-pacs-demo",
            "version": VERSION,
            "demonstration": True,
            "licence": "Apache-2.0; trained on data under open licences, named below",
            "intended_use": (
                "Shows that the pipeline works. Research use only; its results say nothing about a patient."
            ),
            "encoder": encoder,
            "data": list(COLLECTIONS),
            "reproduce": {"command": "python -m trainer demo-model --data DIR --out app/demo_model"},
            "measured": measured,
        }
