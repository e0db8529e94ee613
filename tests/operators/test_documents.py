import hashlib
import subprocess

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator

from operators.documents import file_sha256, first_problem, listing_sha256, whole_file, write_whole


class Table(BaseModel, extra="forbid"):
    size: int = Field(ge=1)
    name: str = "x"

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not name:
            raise ValueError("expected a name")
        return name


class Document(BaseModel):
    table: tuple[Table, ...]


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("before")
    with whole_file(path) as unfinished:
        unfinished.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_whose_writing_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "result.json"
    write_whole(path, "before")

    def write_half() -> None:
        with whole_file(path) as unfinished:
            unfinished.write_text("half of")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        write_half()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_digests_are_those_of_sha256sum(tmp_path):
    for name, content in (("b.txt", "two"), ("a.txt", "one")):
        (tmp_path / name).write_text(content)
    listing = subprocess.run(["sha256sum", "a.txt", "b.txt"], cwd=tmp_path, capture_output=True, check=True).stdout
    digests = {name: file_sha256(tmp_path / name) for name in ("b.txt", "a.txt")}
    assert listing.decode().splitlines() == [f"{digests[name]}  {name}" for name in ("a.txt", "b.txt")]
    assert listing_sha256(digests) == hashlib.sha256(listing).hexdigest()


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"size": 0}, "table.0.size: Input should be greater than or equal to 1, got 0"),
        ({"size": 1, "name": ""}, "table.0.name: expected a name, got ''"),
        ({}, "table.0.size: Field required"),
        ({"size": 1, "sise": 2}, "table.0.sise: Extra inputs are not permitted, got 2"),
    ],
)
def test_what_is_wrong_is_one_sentence(table, sentence):
    with pytest.raises(ValidationError) as refused:
        Document.model_validate({"table": [table]})
    assert first_problem(refused.value) == sentence


def test_a_place_may_be_named_otherwise():
    with pytest.raises(ValidationError) as refused:
        Document.model_validate({"table": [{"size": 0}]})
    assert first_problem(refused.value, lambda keys: f"table number {keys[1]}").startswith("table number 0: ")
