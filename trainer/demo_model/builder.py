"""The embedded model, from the open data to the finished folder and its figures."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from structlog import get_logger

from trainer.demo_model.cases import draw_cases
from trainer.demo_model.embedded_encoder import Counts, TrainedEncoder, ingest_stacks, train_encoder
from trainer.demo_model.fitted_heads import HEAD_NAMES, HeadTask, Measured, fit_heads
from trainer.demo_model.held_out import is_held_out
from trainer.demo_model.training_processes import THREADS
from trainer.demo_model.unlabelled_stacks import unlabelled_stacks
from trainer.export.model_card import write_card
from trainer.export.model_folder import write_digests, write_model_file
from trainer.pretraining.config import read_config

VERSION = "0.9.0"
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
        fitted = {}
        for name, head in fit_heads(HeadTask(self.data, self.out, self.work / "heads", VERSION)):
            log.info(name, **head.measured)
            fitted[name] = head
        draw_cases([case for name in HEAD_NAMES for case in fitted[name].cases], self.work / "cases.png")
        measured = {name: fitted[name].measured for name in HEAD_NAMES}
        write_model_file(self._model_record(self._encoder_record(trained, counts), measured), self.out)
        write_card(self.out)
        write_digests(self.out)
        return measured

    def _encoder_record(self, trained: TrainedEncoder, counts: Counts) -> dict[str, object]:
        return {
            "features": (
                "pre-trained without labels on the slices counted below (docs/pre-training.md, docs/demo-model.md): "
                "features of EfficientNet-Lite0 distilled at masked patches too, masked pixels filled in, and what its "
                "random start tells of an image kept. A third of the people were never shown, nor the slices of the "
                "bundled demo study"
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
