"""Sending one object to another archive, by either way.

Both may be tried again at any time: the object keeps its SOP Instance UID, so a second copy is the first.
"""

import time
import uuid
from collections.abc import Callable

import httpx

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.domain.errors import DeliveryError
from orthanc_plugin.domain.stored_object import StoredObject
from orthanc_plugin.site.destinations import Destination

COMMITMENT_SECONDS, COMMITMENT_POLL_SECONDS = 60.0, 0.5
STOW_TIMEOUT_SECONDS = 120.0

Send = Callable[[StoredObject], None]


def sender_to(destination: Destination, client: OrthancClient) -> Send:
    """Sends an object of the archive's; a ``ServiceError`` when the peer does not have it for sure."""
    if destination.stow_url is None:
        return lambda stored: send_by_c_store(client, destination, stored)
    return lambda stored: send_by_stow(client, destination, stored)


def send_by_c_store(client: OrthancClient, destination: Destination, stored: StoredObject) -> None:
    assert destination.modality is not None
    transaction = client.send_to_modality(
        destination.modality, stored.orthanc_instance_id, storage_commitment=destination.storage_commitment
    )
    if destination.storage_commitment:
        _await_commitment(client, destination, transaction)


def send_by_stow(client: OrthancClient, destination: Destination, stored: StoredObject) -> None:
    """One object in one request (PS3.18 section 10.5); only 200 says that it was stored."""
    boundary = uuid.uuid4().hex
    dicom = client.instance_file(stored.orthanc_instance_id)
    body = b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n--%b--\r\n" % (
        boundary.encode(), dicom, boundary.encode(),
    )  # fmt: skip
    headers = {
        "Accept": "application/dicom+json",
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
    }
    auth = None
    if destination.stow_token is not None:
        headers["Authorization"] = f"Bearer {destination.stow_token.get_secret_value()}"
    elif destination.stow_username is not None and destination.stow_password is not None:
        auth = httpx.BasicAuth(destination.stow_username, destination.stow_password.get_secret_value())
    url = f"{str(destination.stow_url).rstrip('/')}/studies"
    try:
        answer = httpx.post(
            url, content=body, headers=headers, auth=auth, timeout=STOW_TIMEOUT_SECONDS, trust_env=False
        )
    except httpx.TransportError as error:
        raise DeliveryError(f"{destination.name} does not answer ({type(error).__name__})") from error
    if answer.status_code != httpx.codes.OK:
        raise DeliveryError(f"{destination.name}: expected 200 to STOW-RS of {stored.kind}, got {answer.status_code}")


def _await_commitment(client: OrthancClient, destination: Destination, transaction: str | None) -> None:
    if transaction is None:
        raise DeliveryError(f"{destination.name}: Orthanc began no storage commitment")
    deadline = time.monotonic() + COMMITMENT_SECONDS
    while (status := client.storage_commitment_status(transaction)) == "Pending":
        if time.monotonic() > deadline:
            raise DeliveryError(f"{destination.name}: no storage commitment within {COMMITMENT_SECONDS:g} s")
        time.sleep(COMMITMENT_POLL_SECONDS)
    if status != "Success":
        raise DeliveryError(f"{destination.name}: expected storage commitment Success, got {status}")
