"""Requests that fit the service's own OpenAPI and requests that do not: none makes it fail."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import service_cases
from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.pipeline.manifest import Manifest
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.work.encoding import Encoding

STUDY_ID = "-".join(["0123abcd"] * 5)
EXAMPLES = 300
FINDING = {
    "name": "mass", "code": {"value": "4147007", "scheme": "SCT", "meaning": "Mass"}, "site": None, "head": "h",
    "probability": 0.9, "threshold": 0.5, "present": True, "localisation": None,
}  # fmt: skip
WORDS = ("mass", "h", "1.2", STUDY_ID, "<script>alert(1)</script>", "\u202e\u0000\ud7ff", "' OR 1=1 --", "x" * 3000)

any_text = st.text(max_size=60) | st.sampled_from(WORDS)
any_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=8,
)


def values_of(schema: dict[str, Any], document: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a JSON schema allows, for the most part: lengths and patterns of texts are left to chance."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return st.one_of(*(values_of(one, document) for one in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind == "object":
        fields = {name: values_of(one, document) for name, one in schema.get("properties", {}).items()}
        needed = set(schema.get("required", ()))
        return st.fixed_dictionaries(
            {name: of for name, of in fields.items() if name in needed},
            optional={name: of for name, of in fields.items() if name not in needed},
        )
    if kind == "array" and "prefixItems" in schema:
        return st.tuples(*(values_of(one, document) for one in schema["prefixItems"])).map(list)
    if kind == "array":
        return st.lists(values_of(schema.get("items", {}), document), max_size=4)
    if kind in ("integer", "number"):
        bounds = (schema.get("minimum", -(10**6)), schema.get("maximum", 10**6))
        return st.integers(*map(int, bounds)) | st.floats(*bounds, allow_nan=False)
    return {"string": any_text, "boolean": st.booleans(), "null": st.none()}.get(str(kind), any_json)


@st.composite
def requests(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    routes = [(path, method) for path, of_path in document["paths"].items() for method in of_path]
    path, method = draw(st.sampled_from(routes))
    operation = document["paths"][path][method]
    query, asked = {}, path
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            value = draw(st.sampled_from([STUDY_ID, STUDY_ID.replace("0", "9"), "curia.css"]) | any_text)
            asked = asked.replace("{" + parameter["name"] + "}", quote(value, safe="", errors="replace"))
        elif parameter["in"] == "query":
            query[parameter["name"]] = draw(values_of(parameter["schema"], document) | any_text)
    content = None
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        fitting = draw(values_of(schema, document) | any_json)
        content = draw(st.just(json.dumps(fitting).encode()) | st.binary(max_size=40))
    headers = {"Authorization": "Bearer t0ken", "Accept": draw(st.sampled_from(["text/html", "*/*"]))}
    if draw(st.booleans()):
        headers["X-Curia-User"] = quote(draw(any_text), safe="", errors="replace")
    return {"method": method, "url": asked, "params": query, "content": content, "headers": headers}


@pytest.fixture
def service(client: TestClient, ledger: Ledger, pool: WorkerPool, encoding: Encoding) -> TestClient:
    """With a study that has a result, features and judgements."""
    result = Manifest.model_validate({"status": "completed", "findings": (FINDING,)})
    job = replace(
        service_cases.JOB, orthanc_id=STUDY_ID, state=State.STORED, finished_at=1.0, result=result,
        objects=(service_cases.stored(),),
    )  # fmt: skip
    ledger.jobs.add(replace(service_cases.STUDY, orthanc_id=STUDY_ID), job)
    encoding.kept.of(job.work_id).mkdir()
    (encoding.kept.of(job.work_id) / "kept.json").touch()
    pool.workers[0].start()
    return client


def test_no_request_makes_the_service_fail(service: TestClient) -> None:
    """A route's own error would be raised here; what it cannot do at present it says with 503."""
    document = service.app.openapi()  # type: ignore[attr-defined]
    answered: set[tuple[str, int]] = set()

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )  # fmt: skip
    @given(requests(document))
    def ask(request: dict[str, Any]) -> None:
        answer = service.request(**request)
        answered.add((request["method"], answer.status_code))
        assert answer.status_code < 500 or answer.status_code == 503, (request, answer.text)

    ask()
    # The requests went as far as the routes themselves.
    assert {("get", 200), ("post", 202), ("get", 404), ("post", 422)} <= answered, answered
