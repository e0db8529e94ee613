"""Signing a model folder: the other end of operators.model.signature."""

from pathlib import Path
from typing import TYPE_CHECKING

from operators.model.digests import DIGEST_FILE, check_digests
from operators.model.signature import SIGNATURE_FILE
from trainer.export.model_folder import write_digests

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def sign_model_folder(folder: Path, private_key: Path, *, passphrase: str | None = None) -> Path:
    """Write SHA256SUMS, or hold the files against the one that is there, and sign it; the signature's file.

    private_key : Ed25519, PEM (PKCS 8), as ``openssl genpkey -algorithm ed25519`` writes it

    Raises
    ------
    ModelDigestError
        A file differs from a SHA256SUMS that was there.
    ValueError
        The key cannot be read, is none of Ed25519, or its passphrase is wrong or missing.
    """
    key = _read_private_key(private_key, passphrase)
    if not (folder / DIGEST_FILE).exists():
        write_digests(folder)
    check_digests(folder)
    (folder / SIGNATURE_FILE).write_bytes(key.sign((folder / DIGEST_FILE).read_bytes()))
    return folder / SIGNATURE_FILE


def _read_private_key(path: Path, passphrase: str | None) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), passphrase.encode() if passphrase else None)
    except TypeError as error:
        # The library's word for a passphrase that is missing, or given without need.
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path}: expected an Ed25519 key, made by `openssl genpkey -algorithm ed25519`")
    return key
