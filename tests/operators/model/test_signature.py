"""A model folder signed by OpenSSL is taken, and nothing else is where the site has set a key."""

import subprocess
from pathlib import Path

import pytest

from operators.errors import ModelDigestError, ModelError, ModelSignatureError
from operators.model.model_folder import read_model


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def key_pair(folder: Path, algorithm: str = "ed25519") -> tuple[Path, Path]:
    """The private key's file and the public one's."""
    folder.mkdir()
    openssl("genpkey", "-algorithm", algorithm, "-out", folder / "key.pem")
    openssl("pkey", "-in", folder / "key.pem", "-pubout", "-out", folder / "key.pub.pem")
    return folder / "key.pem", folder / "key.pub.pem"


def signed_by_openssl(folder: Path, private_key: Path) -> None:
    listing = folder / "SHA256SUMS"
    openssl("pkeyutl", "-sign", "-inkey", private_key, "-rawin", "-in", listing, "-out", f"{listing}.sig")


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return key_pair(tmp_path / "keys")


def test_a_folder_that_openssl_signed_is_read_as_the_model_that_it_is(
    model_folder: Path, keys: tuple[Path, Path]
) -> None:
    unsigned = read_model(model_folder)
    signed_by_openssl(model_folder, keys[0])
    assert read_model(model_folder, public_key=keys[1]).digest == unsigned.digest
    assert read_model(model_folder).digest == unsigned.digest


def test_a_folder_without_a_signature_is_refused_where_a_key_is_set(
    model_folder: Path, keys: tuple[Path, Path]
) -> None:
    with pytest.raises(ModelSignatureError, match=r"SHA256SUMS\.sig not found.*python -m trainer sign"):
        read_model(model_folder, public_key=keys[1])


def test_another_key_another_list_and_a_torn_signature_are_refused(
    model_folder: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    others = key_pair(tmp_path / "others")
    signed_by_openssl(model_folder, others[0])
    refused = pytest.raises(ModelSignatureError, match="is not the signature.*nothing was loaded")
    with refused:
        read_model(model_folder, public_key=keys[1])
    signed_by_openssl(model_folder, keys[0])
    (model_folder / "SHA256SUMS.sig").write_bytes((model_folder / "SHA256SUMS.sig").read_bytes()[:63])
    with refused:
        read_model(model_folder, public_key=keys[1])
    signed_by_openssl(model_folder, keys[0])
    # A file and its digest exchanged together, as whoever can write to the folder would.
    with (model_folder / "SHA256SUMS").open("a") as listing:
        listing.write("\n")
    with refused:
        read_model(model_folder, public_key=keys[1])


def test_a_file_changed_after_signing_is_refused_by_its_digest(model_folder: Path, keys: tuple[Path, Path]) -> None:
    signed_by_openssl(model_folder, keys[0])
    with (model_folder / "heads/mass/model.safetensors").open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(ModelDigestError, match=r"heads/mass/model\.safetensors"):
        read_model(model_folder, public_key=keys[1])


def test_a_bare_snapshot_needs_a_list_and_its_signature_too(model_folder: Path, keys: tuple[Path, Path]) -> None:
    snapshot = model_folder / "encoder"
    digest = read_model(snapshot).digest
    with pytest.raises(ModelDigestError, match="SHA256SUMS not found"):
        read_model(snapshot, public_key=keys[1])
    sums = subprocess.run(
        ["sha256sum", *sorted(path.name for path in snapshot.iterdir())], cwd=snapshot, check=True, capture_output=True
    )
    (snapshot / "SHA256SUMS").write_bytes(sums.stdout)
    signed_by_openssl(snapshot, keys[0])
    assert read_model(snapshot, public_key=keys[1]).digest == digest


def test_a_key_that_is_missing_or_of_another_kind_is_named(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model_public_key: .*no\.pem cannot be read"):
        read_model(model_folder, public_key=tmp_path / "no.pem")
    _, of_another_kind = key_pair(tmp_path / "x25519", "x25519")
    with pytest.raises(ModelError, match="expected an Ed25519 key"):
        read_model(model_folder, public_key=of_another_kind)
