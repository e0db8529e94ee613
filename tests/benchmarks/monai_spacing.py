"""Seconds that MONAI's Spacing takes for a volume: ``monai_spacing.py VOLUME.npz RESULT.npz``.

VOLUME holds ``array`` (D, H, W), its ``affine`` and the ``spacing`` wanted; RESULT receives array and affine.
For an interpreter with MONAI; it knows nothing of this project.
"""

import json
import sys
import time

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Spacing

source = np.load(sys.argv[1])
image = MetaTensor(torch.from_numpy(source["array"])[None], affine=torch.from_numpy(source["affine"]))
spacing = Spacing(source["spacing"].tolist(), mode="bilinear", padding_mode="border", dtype=torch.float32)
spacing(image)
start = time.perf_counter()
result = spacing(image)
taken = time.perf_counter() - start
np.savez(sys.argv[2], array=result[0].numpy(), affine=result.affine.numpy())
sys.stdout.write("\n" + json.dumps(taken) + "\n")
