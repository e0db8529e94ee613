"""Building the embedded demonstration model: seeded random features, heads fitted on open data."""

from pathlib import Path

from structlog import get_logger

from operators.domain.features import EncoderInputSettings
from operators.encoder.features import Encoder
from operators.encoder.snapshot import read_snapshot
from operators.encoder.vision_transformer import EncoderConfig
from operators.heads.head_files import Modality
from trainer.augmentation import other_framings
from trainer.body_region import body_region_record, fit_body_region, measure_body_region
from trainer.concepts import MASS, ORGANS, REGIONS
from trainer.datasets import (
    make_phantoms,
    read_organ_scans,
    read_region_scans,
    read_sarcoma_scans,
    read_unseen_slices,
)
from trainer.encoded_scans import EncodedScan, encode_scans
from trainer.export import write_digests, write_head, write_model_file, write_snapshot
from trainer.organs import fit_organs, measure_organs, organs_record
from trainer.random_encoder import RandomEncoderSettings, random_state
from trainer.soft_tissue_mass import cross_validate_mass, fit_mass, mass_record

VERSION = "0.1.0"
SEED = 2

CONFIG = EncoderConfig(
    hidden_size=192,
    num_hidden_layers=4,
    num_attention_heads=3,
    use_swiglu_ffn=True,
    patch_size=16,
    num_channels=1,
    image_size=512,
)

REGION_SLICES = 16
"""At most about so many slices of a scan tell the body region; neighbours look alike."""

COLLECTIONS = (
    "LIDC-IDRI (The Cancer Imaging Archive, CC BY 3.0): patient LIDC-IDRI-0314, the patient of the bundled demo study",
    "Soft-tissue-Sarcoma (The Cancer Imaging Archive, CC BY 3.0; Vallieres 2015), IBSI set: STS_001 to STS_016",
    "TotalSegmentator test images (Apache-2.0): two CT, one MR",
    "DTU image analysis course (CC BY 4.0): abdomen CT slices of one person",
    "open_ms_data (CC BY; Lesjak 2016): longitudinal patient 01, MR",
    "dcm_qa_decubitus (BSD-2-Clause): one person, MR",
    "COVID-19-NY-SBU (The Cancer Imaging Archive): CT slices of three people, measured on, never fitted on",
)

Measured = dict[str, float | int | str]
log = get_logger()


class DemoModelBuilder:
    """Encodes the data once, then fits, measures and writes one head after the other."""

    def __init__(self, data: Path, out: Path) -> None:
        self.data = data
        self.out = out
        settings = EncoderInputSettings()
        state = random_state(CONFIG, RandomEncoderSettings(seed=SEED))
        self.encoder_sha256 = write_snapshot(state, CONFIG, settings, out / "encoder")
        # Read back, so that the heads see the very weights that the app will load.
        self.encoder = Encoder(read_snapshot(out / "encoder"))
        self.settings = settings

    def build(self) -> dict[str, Measured]:
        """Write the whole model folder; the measured figures of each head."""
        unseen = list(encode_scans(read_unseen_slices(self.data), self.encoder, self.settings))
        sarcomas = list(encode_scans(read_sarcoma_scans(self.data), self.encoder, self.settings))
        log.info("sarcoma scans encoded", scans=len(sarcomas))
        measured = {
            **self._masses(sarcomas),
            "organs": self._organs(unseen),
            "body-region": self._body_region(unseen),
        }
        write_model_file(_model_record(measured), self.out)
        write_digests(self.out)
        return measured

    def _body_region(self, unseen: list[EncodedScan]) -> Measured:
        scans = list(
            encode_scans(
                (
                    scan.thinned(max(1, scan.volume.geometry.shape[0] // REGION_SLICES))
                    for source in (
                        read_region_scans(self.data),
                        read_sarcoma_scans(self.data),
                        read_organ_scans(self.data),
                        make_phantoms(SEED),
                    )
                    for scan in source
                ),
                self.encoder,
                self.settings,
            )
        )
        measured = measure_body_region(scans, unseen)
        record = body_region_record(self.encoder_sha256, measured, VERSION)
        write_head(record, REGIONS, fit_body_region(scans), self.out / "heads" / record.name)
        log.info("body region", **measured)
        return measured

    def _organs(self, unseen: list[EncodedScan]) -> Measured:
        scans = list(read_organ_scans(self.data))
        originals = list(encode_scans(scans, self.encoder, self.settings))
        framings = (framing for scan in scans for framing in other_framings(scan))
        shown = originals + list(encode_scans(framings, self.encoder, self.settings))
        measured = measure_organs(originals, unseen, shown=shown)
        record = organs_record(self.encoder_sha256, measured, VERSION)
        write_head(record, ORGANS, fit_organs(shown), self.out / "heads" / record.name)
        log.info("organs", **measured)
        return measured

    def _masses(self, sarcomas: list[EncodedScan]) -> dict[str, Measured]:
        ct = [encoded for encoded in sarcomas if encoded.scan.modality == "CT"]
        mr = [encoded for encoded in sarcomas if encoded.scan.modality == "MR"]
        measured = {}
        runs: tuple[tuple[Modality, list[EncodedScan], list[EncodedScan]], ...] = (("CT", ct, mr), ("MR", mr, []))
        for modality, scans, transfer_to in runs:
            figures = cross_validate_mass(scans, seed=SEED, transfer_to=transfer_to)
            record = mass_record(figures, modality=modality, encoder_sha256=self.encoder_sha256, version=VERSION)
            write_head(record, [MASS], fit_mass(scans, seed=SEED), self.out / "heads" / record.name)
            log.info(record.name, **figures.measured)
            measured[record.name] = figures.measured
        return measured


def _model_record(measured: dict[str, Measured]) -> dict[str, object]:
    return {
        "name": "curia-pacs-demo",
        "version": VERSION,
        "demonstration": True,
        "licence": "Apache-2.0; fitted on data under CC BY 3.0, CC BY 4.0, BSD-2 and Apache-2.0, named below",
        "intended_use": ("Shows that the pipeline works. Research use only; its results say nothing about a patient."),
        "encoder": {
            "features": "seeded random weights in Curia-2's architecture; nothing in the encoder was learned",
            "seed": SEED,
            "chosen_by": (
                "the gains of the random weights and the strengths of the fits were chosen among about a dozen by "
                "the cross-validated figures below, which are that much too good"
            ),
        },
        "data": list(COLLECTIONS),
        "reproduce": {"command": "python -m trainer demo-model --data DIR --out app/demo_model"},
        "measured": measured,
    }
