"""The service and the worker know nothing of one another's code: what either says, the other understands."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from app.worker import protocol as worker
from operators.study_run.kept_evidence import FILE_NAME, EvidenceMap
from orthanc_plugin.pipeline import kept_evidence
from orthanc_plugin.pipeline import protocol as service

MESSAGES = (
    "RunningModel", "Term", "Greeting", "Refusal", "ReadRequest", "SimilarityRequest", "RegionRequest", "MarkRequest",
    "MarkedRegion", "Point", "SimilarityMap", "Region", "Coded", "Judged", "ReviseRequest", "Reply",
)  # fmt: skip


def schema(model: type[BaseModel]) -> dict[str, object]:
    """What a message holds, whatever is said of it; that something has a default is either end's own affair."""
    properties = model.model_json_schema()["properties"]
    return {
        name: {key: value for key, value in described.items() if key not in ("title", "default", "description")}
        for name, described in properties.items()
    }


@pytest.mark.parametrize("name", MESSAGES)
def test_both_ends_mean_the_same_message(name: str) -> None:
    assert schema(getattr(worker, name)) == schema(getattr(service, name))


def test_the_service_reads_the_evidence_that_the_pipeline_keeps() -> None:
    assert schema(EvidenceMap) == schema(kept_evidence.EvidenceMap)
    assert FILE_NAME == kept_evidence.FILE_NAME


def test_the_worker_understands_the_services_request() -> None:
    priors = (Path("/before"), Path("/long before"))
    asked = service.ReadRequest(id="w1", input=Path("/in"), output=Path("/out"), prior=priors)
    understood = worker.REQUEST.validate_json(asked.model_dump_json())
    assert understood.model_dump() == asked.model_dump()


@pytest.mark.parametrize(
    "said",
    [
        worker.Greeting(pipeline_digest="d", model=worker.RunningModel(name="m", version="1", demonstration=True)),
        worker.Refusal(code="checkpoint-invalid", message="there is no model"),
    ],
)
def test_the_service_understands_how_the_worker_begins(said: BaseModel) -> None:
    understood = service.FIRST_MESSAGE.validate_json(said.model_dump_json())
    assert type(understood).__name__ == type(said).__name__
    assert understood.model_dump() == said.model_dump()


def test_a_later_version_may_say_more() -> None:
    assert service.Reply.model_validate_json('{"id": "w1", "exit_code": 0, "seconds": 1.5, "more": 1}').exit_code == 0
