"""The digests of a model folder: what SHA256SUMS says, and what the files have."""

import hashlib
from pathlib import Path

from operators.documents import file_sha256, listing_sha256
from operators.errors import ModelDigestError
from operators.model.signature import SIGNATURE_FILE, check_signature

DIGEST_FILE = "SHA256SUMS"


def check_digests(folder: Path, public_key: Path | None = None) -> str:
    """Compare every file with SHA256SUMS; the digest of that listing.

    public_key : that has to have signed the listing

    Raises
    ------
    ModelDigestError
        Names the first file that differs, is missing or is not listed.
    ModelSignatureError
        The listing is not signed by the key.
    """
    if not (folder / DIGEST_FILE).is_file():
        raise ModelDigestError(f"model: {DIGEST_FILE} not found in the model folder; get the whole folder again")
    listing = (folder / DIGEST_FILE).read_bytes()
    if public_key:
        check_signature(listing, folder, public_key)
    try:
        lines = listing.decode().splitlines()
    except UnicodeDecodeError as error:
        raise ModelDigestError(f"model: {DIGEST_FILE}: expected text in UTF-8: {error}") from error
    expected = dict(_digest_line(line) for line in lines)
    actual = {path: file_sha256(folder / path) for path in model_files(folder)}
    for path in sorted(expected.keys() | actual.keys()):
        if expected.get(path) != actual.get(path):
            raise ModelDigestError(
                f"model: {path}: {DIGEST_FILE} says {expected.get(path, 'nothing')}, "
                f"the file has {actual.get(path, 'gone')}; nothing was loaded"
            )
    return hashlib.sha256(listing).hexdigest()


def model_files(folder: Path) -> list[str]:
    """Every file below *folder* but the digest listing and its signature, as sorted POSIX paths."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in paths if path not in (DIGEST_FILE, SIGNATURE_FILE))


def _digest_line(line: str) -> tuple[str, str]:
    digest, separator, path = line.partition("  ")
    if not separator or len(digest) != 64:
        raise ModelDigestError(f"model: {DIGEST_FILE}: expected '<sha256>  <path>' in each line, got {line[:80]!r}")
    return path, digest


def folder_digest(folder: Path) -> str:
    """Hex SHA-256 over the listing of all files, so that a changed threshold makes another head."""
    return listing_sha256({path: file_sha256(folder / path) for path in model_files(folder)})
