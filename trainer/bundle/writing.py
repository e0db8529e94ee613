"""``python -m trainer bundle``: an encoder and a head as a MONAI bundle.

The bundle's ``models`` is a model folder with that head, so its weights stay safetensors with their digests; the
network that reads it comes with this package. MONAI itself is not needed to write one.
"""

import json
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from operators.heads.head import Head
from operators.heads.published_config import CONFIG
from operators.heads.records import read_table
from operators.model.digests import DIGEST_FILE
from operators.model.model_folder import MODEL_FILE, Model, read_model
from trainer.bundle.network import DRAWING, needed_heads
from trainer.export.model_folder import write_digests

MONAI_VERSION = "1.6.1"

README = """\
# {name}

{task}, {kind}, as a MONAI bundle. **Research use only**: no medical device, no diagnosis.

{data}

```
pip install curia-pacs "monai>={monai}"
python -m monai.bundle run --config_file configs/inference.json --bundle_root . --dataset_dir DIR
```

asks about every NIfTI file of DIR, CT in HU, and writes `answers.json`{maps}. The network is
`trainer.bundle.network.HeadNetwork`; `models` is a model folder, checked against its SHA256SUMS when it is read.
"""


def write_bundle(model_folder: Path, head_name: str, out: Path) -> Path:
    """Write the bundle into a new folder *out*/<head>; that folder.

    Raises
    ------
    ModelError
        The model folder cannot be used.
    ValueError
        It is a bare snapshot, or has no such head.
    FileExistsError
        The bundle is there already.
    """
    model = read_model(model_folder)
    names = needed_heads(model.heads, head_name)
    head = next(one for one in model.heads.all if one.record.name == head_name)
    bundle = out / head_name
    bundle.mkdir(parents=True)
    _write_model(model_folder, names, bundle / "models")
    for folder in ("configs", "docs"):
        (bundle / folder).mkdir()
    _write_json(bundle / "configs/metadata.json", _metadata(model, head))
    _write_json(bundle / "configs/inference.json", _inference(head))
    maps = ", and a label map beside each of them" if head.record.task in DRAWING else ""
    told = {"name": head_name, "task": head.record.task, "kind": head.record.kind, "data": head.record.data}
    (bundle / "docs/README.md").write_text(README.format(**told, monai=MONAI_VERSION, maps=maps), encoding="utf-8")
    (bundle / "LICENSE").write_text(f"Weights: {model.licence}\n", encoding="utf-8")
    return bundle


def _write_model(source: Path, names: list[str], target: Path) -> None:
    """The model folder with these heads alone; a signature of the whole one does not hold for it."""
    shutil.copytree(source / "encoder", target / "encoder")
    shutil.copyfile(source / MODEL_FILE, target / MODEL_FILE)
    for folder in sorted((source / "heads").iterdir()):
        if _name_of(folder) in names:
            shutil.copytree(folder, target / "heads" / folder.name, ignore=shutil.ignore_patterns(DIGEST_FILE))
    write_digests(target)


def _name_of(folder: Path) -> str:
    """What a head's folder calls it; a published one is called as its folder."""
    if (folder / CONFIG).is_file():
        return folder.name
    return str(read_table(folder / "head.toml").get("name"))


def _metadata(model: Model, head: Head) -> Mapping[str, object]:
    """configs/metadata.json by MONAI's specification of bundles."""
    draws = head.record.task in DRAWING
    grid = {"num_channels": 1, "spatial_shape": ["*", "*", "*"], "is_patch_data": False}
    image = {"type": "image", "format": "hounsfield" if "CT" in head.record.modality else "magnitude"}
    answer = {"type": "image" if draws else "tuples", "format": "segmentation" if draws else "classification"}
    return {
        "version": head.record.version,
        "changelog": {head.record.version: f"exported from {model.name} {model.version}"},
        "monai_version": MONAI_VERSION,
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {"curia-pacs": version("curia-pacs")},
        "task": f"{head.record.task}, {head.record.kind}: {head.record.name}",
        "description": head.record.data,
        "authors": model.name,
        "copyright": model.licence,
        "intended_use": f"Research use only. {model.intended_use}",
        "network_data_format": {
            "inputs": {"image": image | grid | {"modality": "/".join(head.record.modality), "dtype": "float32"}},
            "outputs": {"pred": answer | grid | {"dtype": "uint8" if draws else "float32"}},
        },
    }


def _inference(head: Head) -> Mapping[str, object]:
    """configs/inference.json: every NIfTI file of a folder through the network."""
    draws = head.record.task in DRAWING
    tell = "$json.dump({k: v.tolist() for k, v in @answers.items()}, open(@output_dir + '/answers.json', 'w'))"
    asked = "@inferer(image[None], @network)[0]"
    save = "$[@saver(v) for v in @answers.values()]"
    return {
        "imports": ["$import glob", "$import json", "$import os", "$import monai.data"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/data'",
        "output_dir": "$@dataset_dir",
        "device": "cpu",
        "datalist": "$sorted(glob.glob(@dataset_dir + '/*.nii*'))",
        "network_def": {
            "_target_": "trainer.bundle.network.HeadNetwork",
            "folder": "$@bundle_root + '/models'",
            "head": head.record.name,
            "device": "@device",
        },
        "network": "$@network_def.eval()",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
            ],
        },
        "inferer": {"_target_": "SimpleInferer"},
        "saver": {"_target_": "SaveImage", "output_dir": "@output_dir", "separate_folder": False},
        "answers": (
            "$({os.path.basename(path): "
            + (f"monai.data.MetaTensor({asked}, meta=image.meta)" if draws else asked)
            + " for path in @datalist for image in [@preprocessing({'image': path})['image']]})"
        ),
        "initialize": [],
        "run": [save if draws else tell],
        "finalize": [],
    }


def _write_json(path: Path, record: Mapping[str, object]) -> None:
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
