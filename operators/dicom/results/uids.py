"""Unique identifiers that are a function of what they name, so that equal runs write equal objects."""

import hashlib
from dataclasses import dataclass


def derive_uid(*parts: str) -> str:
    """A UID under the UUID root 2.25 (PS3.5 B.2), the same for the same parts.

    The parts are length-prefixed before they are hashed, so that ("ab", "c") and ("a", "bc") differ.
    """
    framed = "".join(f"{len(part)}:{part}" for part in parts)
    # 128 bits as the root asks: at most 39 digits, and Python writes no leading zero.
    number = int.from_bytes(hashlib.sha256(framed.encode()).digest()[:16], "big")
    return f"2.25.{number}"


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What a run is determined by; every UID it writes is a function of it.

    source_digest, model_digest, settings_digest : in hex, of the source instances, of the model folder and of the
        settings that change results
    """

    source_digest: str
    model_digest: str
    settings_digest: str

    def uid(self, series_key: str, content_digest: str = "") -> str:
        """UID of an output: of its series without a digest of content, of the instance with one.

        series_key : the object's kind, and what tells several series of a kind apart
        """
        return derive_uid(self.source_digest, self.model_digest, self.settings_digest, series_key, content_digest)

    def tracking_uid(self, series_instance_uid: str, head: str, label: str) -> str:
        """UID of one tracked thing, the same in the SEG, the SR and the result manifest."""
        return self.uid(f"tracking:{head}:{label}:{series_instance_uid}")
