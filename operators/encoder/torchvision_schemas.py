"""Lets timm import where torch is a CPU build and torchvision a CUDA build."""

import functools
from importlib.util import find_spec
from pathlib import Path

import torch

_ARGUMENTS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@functools.cache
def define_missing_schemas() -> torch.library.Library | None:
    """Define the two operator schemas that torchvision's own library would have defined.

    timm imports torchvision, and torchvision's Python part registers shape functions for ``nms`` and ``qnms``.
    On a CPU-only torch the package registries' torchvision (a CUDA build) cannot load its compiled library, so
    the two operators do not exist and the import ends in "operator torchvision::nms does not exist". The encoder
    uses neither. Where the library loads, this function does nothing.

    Returns
    -------
    The definitions, which live as long as this object (the cache keeps it), or None where none were needed.
    """
    spec = find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return None
    try:
        torch.ops.load_library(Path(spec.submodule_search_locations[0]) / "_C.so")  # type: ignore[no-untyped-call]
    except OSError:
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        library.define("nms" + _ARGUMENTS)  # type: ignore[no-untyped-call]
        library.define("qnms" + _ARGUMENTS)  # type: ignore[no-untyped-call]
        return library
    return None
