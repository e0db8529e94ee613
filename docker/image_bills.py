"""Write the bills of materials of the images of docker/Dockerfile: ``python docker/image_bills.py --out build/sbom``.

The MONAI package has its own among its documents.
"""

import argparse
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "map"))

from map_context import LOCKS, ROOT, licence, locked_entries  # noqa: E402
from sbom import bill_of_materials  # noqa: E402


def packages_of(image: str) -> dict[str, str]:
    """Version by name of what an image installs; torch's CUDA libraries, which depend on the index, left out."""
    names = {"torch", *(HERE / f"{image}.packages").read_text().split()}
    entries = {name: text for lock in LOCKS[:2] for name, text in locked_entries(lock).items()}
    return {name: entries[name].split("==", 1)[1].split()[0] for name in sorted(names)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build/sbom")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for image in ("service", "trainer"):
        bill = bill_of_materials(f"curia-pacs-{image}", version, packages_of(image), licence)
        (out / f"{image}.cdx.json").write_text(bill + "\n")
        sys.stdout.write(f"{out / image}.cdx.json\n")


if __name__ == "__main__":
    main()
