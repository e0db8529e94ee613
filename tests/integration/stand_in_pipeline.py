"""A pipeline that keeps the worker's protocol and writes a SEG and an SR without computing anything.

It is a careless one: it writes all text as UTF-8, and leaves out what it cannot read without a word. UIDs are a
function of the study and the number of its images, the content's time is that of the run: as with the real pipeline, a
second run on the same images writes other bytes under the same UIDs. On another ``--host`` they are other UIDs, as
where the arithmetic of another device gives another result. A study that is described as DEADLY takes the service down
with it.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.misc import is_dicom
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, SegmentationStorage, generate_uid

MANUFACTURER = "curia-pacs"
COPIED = ("PatientID", "PatientName", "StudyInstanceUID")


def uid_of(study_instance_uid: str, kind: str, count: str) -> str:
    """SOP Instance UID of the object that is made of so many images."""
    return generate_uid(entropy_srcs=[study_instance_uid, kind, count])


def write_output(kind: str, source: Dataset, count: str, folder: Path) -> dict[str, Any]:
    sop_class = {"SEG": SegmentationStorage, "SR": ComprehensiveSRStorage}[kind]
    dataset = Dataset()
    for keyword in COPIED:
        setattr(dataset, keyword, getattr(source, keyword))
    dataset.SpecificCharacterSet, dataset.Manufacturer = "ISO_IR 192", MANUFACTURER
    dataset.Modality, dataset.SOPClassUID = kind, sop_class
    dataset.SOPInstanceUID = uid_of(source.StudyInstanceUID, kind, count)
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[source.StudyInstanceUID, kind, "series", count])
    dataset.ContentTime = datetime.now().strftime("%H%M%S.%f")
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"{kind}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    dicom = path.read_bytes()
    return {
        "path": path.name, "kind": kind, "sop_class_uid": sop_class, "series_instance_uid": dataset.SeriesInstanceUID,
        "sop_instance_uid": dataset.SOPInstanceUID, "sha256": hashlib.sha256(dicom).hexdigest(), "bytes": len(dicom),
    }  # fmt: skip


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="")
    parser.add_argument("--seconds", type=float, default=0.0)
    return parser.parse_known_args()[0]


def main() -> None:
    arguments = read_arguments()
    say(
        {
            "ready": True,
            "pipeline_digest": "stand-in",
            "model": {"name": "stand-in", "version": "1", "demonstration": True},
        }
    )
    for line in sys.stdin:
        request = json.loads(line)
        files = sorted(Path(request["input"]).glob("*.dcm"))
        read = [dcmread(path) for path in files if is_dicom(path)]
        images = [one for one in read if one.Modality == "CT"]
        if images[0].get("StudyDescription") == "DEADLY":
            os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(arguments.seconds)
        earlier = [{"code": "earlier-report", "message": one.SOPInstanceUID} for one in read if one.Modality == "SR"]
        priors = [f"{len(list(Path(prior).glob('*.dcm')))} files" for prior in request["prior"]]
        said = [*earlier, *({"code": "prior", "message": files_of_one} for files_of_one in priors)]
        output, count = Path(request["output"]), f"{len(images)}{arguments.host}"
        outputs = [write_output(kind, images[0], count, output) for kind in ("SEG", "SR")]
        manifest = {"schema": "curia-pacs/result/1", "status": "completed", "outputs": outputs, "warnings": said}
        (output / "result.json").write_text(json.dumps(manifest))
        say({"id": request["id"], "exit_code": 0, "seconds": arguments.seconds})


if __name__ == "__main__":
    main()
