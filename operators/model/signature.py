"""Who made a model folder: a detached Ed25519 signature of its SHA256SUMS (RFC 8032)."""

from pathlib import Path
from typing import TYPE_CHECKING

from operators.errors import ModelError, ModelSignatureError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNATURE_FILE = "SHA256SUMS.sig"
"""The 64 bytes of the signature and nothing else, as ``openssl pkeyutl -sign -rawin`` writes them."""


def check_signature(listing: bytes, folder: Path, public_key: Path) -> None:
    """Hold the folder's signature against the bytes of its listing.

    public_key : PEM file (SubjectPublicKeyInfo), as ``openssl pkey -pubout`` writes it

    Raises
    ------
    ModelSignatureError
        The folder has no signature, or one that another key or another listing gave.
    ModelError
        The key cannot be read, or is none of Ed25519.
    """
    from cryptography.exceptions import InvalidSignature

    key = _read_public_key(public_key)
    try:
        signature = (folder / SIGNATURE_FILE).read_bytes()
    except FileNotFoundError:
        raise ModelSignatureError(
            f"model: {SIGNATURE_FILE} not found in the model folder, and model_public_key asks for it; get the signed "
            f"folder, or sign this one (python -m trainer sign)"
        ) from None
    try:
        key.verify(signature, listing)
    except InvalidSignature:
        raise ModelSignatureError(
            f"model: {SIGNATURE_FILE} is not the signature of this folder's SHA256SUMS by the key {public_key}; "
            f"nothing was loaded"
        ) from None


def _read_public_key(path: Path) -> "Ed25519PublicKey":
    # A GPU machine that only trains has no need of the library.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(
            f"settings: model_public_key: {path} cannot be read as a public key in PEM: {error}"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise ModelError(f"settings: model_public_key: expected an Ed25519 key, {path} holds another kind")
    return key
