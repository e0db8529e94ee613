"""The digests of a model folder: what SHA256SUMS says, and what the files have."""

from pathlib import Path

from operators.documents import file_sha256, listing_sha256
from operators.errors import ModelDigestError

DIGEST_FILE = "SHA256SUMS"


def check_digests(folder: Path) -> str:
    """Compare every file with SHA256SUMS; the digest of that listing.

    Raises
    ------
    ModelDigestError
        Names the first file that differs, is missing or is not listed.
    """
    listing = folder / DIGEST_FILE
    if not listing.is_file():
        raise ModelDigestError(f"model: {DIGEST_FILE} not found in the model folder; get the whole folder again")
    expected = dict(_digest_line(line) for line in listing.read_text(encoding="utf-8").splitlines())
    actual = {path: file_sha256(folder / path) for path in model_files(folder)}
    for path in sorted(expected.keys() | actual.keys()):
        if expected.get(path) != actual.get(path):
            raise ModelDigestError(
                f"model: {path}: {DIGEST_FILE} says {expected.get(path, 'nothing')}, "
                f"the file has {actual.get(path, 'gone')}; nothing was loaded"
            )
    return file_sha256(listing)


def model_files(folder: Path) -> list[str]:
    """Every file below *folder* but the digest listing, as sorted POSIX paths."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in paths if path != DIGEST_FILE)


def _digest_line(line: str) -> tuple[str, str]:
    digest, separator, path = line.partition("  ")
    if not separator or len(digest) != 64:
        raise ModelDigestError(f"model: {DIGEST_FILE}: expected '<sha256>  <path>' in each line, got {line[:80]!r}")
    return path, digest


def folder_digest(folder: Path) -> str:
    """Hex SHA-256 over the listing of all files, so that a changed threshold makes another head."""
    return listing_sha256({path: file_sha256(folder / path) for path in model_files(folder)})
