"""Names that nobody can trace back: hashes under a key that is made at random and stays beside the shards."""

import secrets
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from operators.documents import whole_file

KEY_FILE = "key"
_KEY_BYTES = 32
_SPLIT_BYTES = 8

Split = Literal["train", "validation"]


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Keyed hashes (BLAKE2b), equal for equal words under one key."""

    key: bytes

    def of(self, kind: str, *words: str, num_bytes: int = 16) -> str:
        """Hex digits for what *words* name; *kind* keeps a patient and a study of one name apart."""
        # Words are counted by their lengths, so that ("a", "bc") and ("ab", "c") differ.
        message = "".join(f"{len(word)}:{word}" for word in (kind, *words))
        return blake2b(message.encode(), key=self.key, digest_size=num_bytes).hexdigest()


def split_of(patient: str, validation_share: float) -> Split:
    """The part that a patient belongs to, by the hash alone: the same whatever else is there, or will be."""
    place = int(patient[: 2 * _SPLIT_BYTES], 16) / 2 ** (8 * _SPLIT_BYTES)
    return "validation" if place < validation_share else "train"


def read_or_make_key(folder: Path) -> Pseudonyms:
    """The folder's key; a new one, readable by its owner alone, where there is none.

    Raises
    ------
    ValueError
        When the file does not hold a key.
    """
    path = folder / KEY_FILE
    if not path.exists():
        # On a full disk no key is better than half of one, which would have to be restored.
        with whole_file(path) as unfinished:
            unfinished.touch(mode=0o600, exist_ok=False)
            unfinished.write_text(secrets.token_hex(_KEY_BYTES), encoding="ascii")
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except ValueError as error:
        raise ValueError(f"{path}: expected hex digits") from error
    if len(key) != _KEY_BYTES:
        raise ValueError(f"{path}: expected {_KEY_BYTES} bytes as hex digits, got {len(key)}; restore the folder's key")
    return Pseudonyms(key)
