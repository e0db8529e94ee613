"""What ``python -m trainer sign`` writes, judged by OpenSSL."""

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trainer.__main__ import app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "encoder").mkdir(parents=True)
    (folder / "model.toml").write_text("name = 'tiny'\n")
    (folder / "encoder/config.json").write_text("{}\n")
    return folder


def generated_key(tmp_path: Path, *options: str) -> Path:
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key, *options], check=True)
    return key


def is_signed(folder: Path, private_key: Path, *options: str) -> bool:
    """As OpenSSL and sha256sum see it."""
    listing, public = folder / "SHA256SUMS", private_key.with_suffix(".pub")
    subprocess.run(["openssl", "pkey", "-in", private_key, "-pubout", "-out", public, *options], check=True)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", listing]
    verified = subprocess.run([*command, "-sigfile", f"{listing}.sig"], capture_output=True, check=False)
    whole = subprocess.run(["sha256sum", "--check", "--quiet", listing], cwd=folder, capture_output=True, check=False)
    return (verified.returncode, whole.returncode) == (0, 0)


def test_a_folder_gets_its_list_and_a_signature_that_openssl_accepts(folder: Path, tmp_path: Path) -> None:
    key = generated_key(tmp_path)
    ended = CliRunner().invoke(app, ["sign", str(folder), "--key", str(key)])
    assert ended.exit_code == 0, ended.output
    assert is_signed(folder, key)
    # Once more gives the same: the list does not list its signature.
    first = (folder / "SHA256SUMS").read_bytes()
    assert CliRunner().invoke(app, ["sign", str(folder), "--key", str(key)]).exit_code == 0
    assert (folder / "SHA256SUMS").read_bytes() == first


def test_the_passphrase_of_an_encrypted_key_is_asked_for(folder: Path, tmp_path: Path) -> None:
    key = generated_key(tmp_path, "-aes256", "-pass", "pass:open sesame")
    wrong = CliRunner().invoke(app, ["sign", str(folder), "--key", str(key)], input="other\n")
    assert wrong.exit_code == 2
    assert not (folder / "SHA256SUMS.sig").exists()
    assert CliRunner().invoke(app, ["sign", str(folder), "--key", str(key)], input="open sesame\n").exit_code == 0
    assert is_signed(folder, key, "-passin", "pass:open sesame")


def test_a_folder_that_differs_from_its_list_is_not_signed(folder: Path, tmp_path: Path) -> None:
    key = generated_key(tmp_path)
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  model.toml\n")
    ended = CliRunner().invoke(app, ["sign", str(folder), "--key", str(key)])
    assert ended.exit_code == 2
    assert "encoder/config.json: SHA256SUMS says nothing" in ended.output
    assert not (folder / "SHA256SUMS.sig").exists()
