"""Write the lock files: every package at one version, with the digest of every file that was published of it.

    make lock                      keeps what is locked as far as pyproject.toml allows
    make lock UPGRADE=numpy        takes the newest numpy that it allows

uv resolves and lists the digests. What the three files are for stands in their first lines. Beside docker/Dockerfile
lies a list for each of its images: what it takes of requirements.lock, without what only tests and pages need.
"""

import argparse
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK, TORCH_LOCK, CUDA_LOCK = (ROOT / f"requirements{part}.lock" for part in ("", "-torch", "-cuda"))
PYTHON, PLATFORM = "3.11.2", "x86_64-manylinux_2_35"
"""Debian 12's own Python: what asks for a later 3.11 cannot be installed by it."""

EXTRAS = ("gpu", "dev")
"""What pip installs into .venv; "trainer" adds to these nothing but MONAI, which is kept out of it."""

IMAGES = {ROOT / "docker/service.packages": ("gpu",), ROOT / "docker/trainer.packages": ("gpu", "trainer")}

OF_EVERY_ENVIRONMENT = "pip>=26\nsetuptools>=77\nhatchling>=1.28\n"
"""torch asks for setuptools, Holoscan's command for pip; a new environment has them in some version or not at all.
hatchling builds the project itself."""

ONLY_FOR_CUDA = re.compile(r"cuda-toolkit|triton|nvidia-.*")

TORCH_FOR_CPUS = "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"
"""SHA-256 of torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl, which PyPI does not have.

Of torch's CPU builds for other Pythons and processors no digest is known here: pip refuses them, and PyPI's build for
CUDA has to be taken.
"""

HEADS = {
    LOCK: "Every package of .venv and of the images but torch, with the digests of its files; made by `make lock`.",
    TORCH_LOCK: "torch as PyPI has it, built for CUDA, and its build for CPUs; made by `make lock`.",
    CUDA_LOCK: "What torch's build for CUDA needs besides; made by `make lock`.",
}

Entry = tuple[str, str]
"""A package's name, and its lines of the lock."""


def resolved(uv: Path, extras: tuple[str, ...], upgrade: list[str]) -> list[Entry]:
    """Every package that pyproject.toml leads to with these extras, PyPI's build of torch taken."""
    work = ROOT / "build/lock"
    work.mkdir(parents=True, exist_ok=True)
    extra = work / "of-every-environment.txt"
    extra.write_text(OF_EVERY_ENVIRONMENT)
    # uv holds to the versions that it finds in its output.
    out = work / "resolved.txt"
    out.write_text("".join(path.read_text() for path in HEADS if path.exists()))
    command = [uv, "pip", "compile", "--quiet", "--no-config", "--no-header", "--no-annotate", "--generate-hashes"]
    command += ["--python-version", PYTHON, "--python-platform", PLATFORM, "--output-file", out]
    command += [word for name in extras for word in ("--extra", name)]
    command += [word for name in upgrade for word in ("--upgrade-package", name)]
    subprocess.run([*command, ROOT / "pyproject.toml", extra], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return [(text.split("==", 1)[0], text) for text in re.split(r"^(?=[A-Za-z])", out.read_text(), flags=re.M) if text]


def lock_of(name: str, named: set[str]) -> Path:
    """Where a package belongs. CUDA libraries that we name ourselves are wanted without a GPU: Holoscan loads one."""
    if name == "torch":
        return TORCH_LOCK
    return CUDA_LOCK if ONLY_FOR_CUDA.fullmatch(name) and name not in named else LOCK


def with_build_for_cpus(torch: str) -> str:
    if not torch.startswith("torch==2.13.0 "):
        raise SystemExit("torch has another version now: put the digest of its build for CPUs into lock_packages.py")
    # uv repeats the digests that it finds in the lock.
    return torch if TORCH_FOR_CPUS in torch else f"{torch.rstrip()} \\\n    --hash=sha256:{TORCH_FOR_CPUS}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uv", type=Path, required=True)
    parser.add_argument("--upgrade", action="append", default=[], metavar="PACKAGE")
    given = parser.parse_args()
    entries = resolved(given.uv, EXTRAS, given.upgrade)
    named = {re.split(r"[<>=\[;]", line.strip(' ",'))[0] for line in (ROOT / "pyproject.toml").read_text().splitlines()}
    for path, head in HEADS.items():
        texts = [text for name, text in entries if lock_of(name, named) == path]
        if path == TORCH_LOCK:
            texts = [with_build_for_cpus(text) for text in texts]
        path.write_text(f"# {head}\n" + "".join(texts))
    locked = {name for name, _ in entries if lock_of(name, named) == LOCK}
    for path, extras in IMAGES.items():
        names = {name for name, _ in resolved(given.uv, extras, [])} & locked
        path.write_text("".join(f"{name}\n" for name in sorted(names)))


if __name__ == "__main__":
    main()
