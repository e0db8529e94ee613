"""The work list and the study page in a real browser, over a real Orthanc and a study that the pipeline read."""

import base64
import json
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from highdicom.sr import CodedConcept
from highdicom.sr.utils import find_content_items
from pydicom import dcmread
from scipy.ndimage import map_coordinates

from app.pipeline import Pipeline
from app.settings import DEMO_MODEL, Settings
from integration.ohif_site import PUPPETEER, ROOT
from integration.running_site import (
    CANARIES,
    FAST,
    Site,
    build_small_study,
    find_browser,
    running_site,
    with_bytes,
)  # fmt: skip
from operators.dicom.selection.series_selection import select_series
from operators.dicom.study.study_index import index_study
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.geometry import Geometry
from operators.domain.reading import SeriesReading, StudyReading
from operators.study_run.readout import read_findings
from orthanc_plugin.demo.local_orthanc import USER

pytestmark = pytest.mark.integration

PICTURES = ROOT / "build" / "pages"
SOFT_TISSUE = (-160, 240)


SHIFT_MM = (24.0, -16.0, 40.0)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Its pipeline aligns coarsely and rigidly, which is quick."""
    folder = tmp_path_factory.mktemp("site")
    config = folder / "app.toml"
    config.write_text('registration = "rigid"\nregistration_points = 32768\n')
    with running_site(folder, service=FAST | {"pipeline_config": str(config)}) as running:
        running.wait_for_pipeline()
        yield running


def _earlier(paths: list[Path], folder: Path) -> list[Path]:
    """The same images from a year before, when the patient lay elsewhere on the table."""
    earlier = []
    for path in paths:
        dataset = dcmread(path)
        dataset.StudyDate = f"{int(dataset.StudyDate[:4]) - 1}{dataset.StudyDate[4:]}"
        dataset.FrameOfReferenceUID = f"{dataset.FrameOfReferenceUID[:-1]}{9 - int(dataset.FrameOfReferenceUID[-1])}"
        dataset.ImagePositionPatient = [a + b for a, b in zip(dataset.ImagePositionPatient, SHIFT_MM, strict=True)]
        earlier.append(folder / path.name)
        dataset.save_as(earlier[-1])
    return earlier


@pytest.fixture(scope="module")
def study(
    site: Site, make_study: Callable[[str], tuple[str, list[Path]]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    uid, paths = make_study("pages-earlier")
    site.send(_earlier(paths, tmp_path_factory.mktemp("earlier")))
    site.wait_for_state(uid, "stored")
    uid, paths = make_study("pages")
    site.send(paths)
    view = site.wait_for_state(uid, "stored", "failed", "not-applicable")
    assert view["state"] == "stored", view["reason"]
    return view | {"paths": paths}


FOREIGN_NAME = "<script>window.hit=1</script>\"'\u202e&amp;"
FOREIGN_DESCRIPTION = "<img src=x onerror=window.hit=2>\u05d0bc"
FOREIGN_LENGTH = 65_000


@pytest.fixture(scope="module")
def foreign(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Orthanc's id of a study whose header holds script, quotes, a right-to-left mark and 64 KB of text."""
    folder = tmp_path_factory.mktemp("foreign")
    uid, plain = build_small_study("foreign", folder)
    long = FOREIGN_DESCRIPTION.ljust(FOREIGN_LENGTH, "x")
    texts = {"PatientName": FOREIGN_NAME, "StudyDescription": FOREIGN_DESCRIPTION, "SeriesDescription": long}
    values = {keyword: text.encode() for keyword, text in texts.items()}
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # pydicom's, that LO has 64 characters
        written = with_bytes(plain, folder / "foreign", character_set="ISO_IR 192", **values)
    for path in written:
        stored = site.orthanc.http.post("/instances", content=path.read_bytes()).raise_for_status().json()
    orthanc_id = str(stored["ParentStudy"])
    site.wait_for_state(uid, "stored", "failed", "not-applicable")
    return orthanc_id


@pytest.fixture(scope="module")
def with_mass(site: Site, study: dict[str, Any]) -> dict[str, Any]:
    """The thigh with a mass, which the embedded model finds. Comes after *study*: one worker reads them both."""
    paths = sorted((ROOT / "tests/data/ct_thigh_sts003").glob("*.dcm"))
    site.send(paths)
    view = site.wait_for_state(str(dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID), "stored", "failed")
    assert view["state"] == "stored", view["reason"]
    return view | {"paths": paths}


@pytest.fixture(scope="module")
def seen(site: Site, foreign: str, study: dict[str, Any], with_mass: dict[str, Any]) -> dict[str, Any]:
    """What ``tests/node/view_pages.mjs`` tells; its pictures go to ``build/pages``."""
    node = shutil.which("node")
    assert node, "node is missing: make test installs it"
    PICTURES.mkdir(parents=True, exist_ok=True)
    orthanc = site.orthanc
    address = [str(orthanc.http.base_url).rstrip("/"), USER, orthanc.password, study["orthanc_id"], foreign]
    address.append(with_mass["orthanc_id"])
    command = [node, ROOT / "tests/node/view_pages.mjs", PUPPETEER, find_browser(), *address, PICTURES]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_nothing_is_left_uncaught_and_no_other_host_is_asked(seen: dict[str, Any]) -> None:
    assert (seen["uncaught"], seen["elsewhere"]) == ([], [])


def test_axe_finds_nothing_serious_in_light_or_dark(seen: dict[str, Any]) -> None:
    assert seen["accused"] == {"list": [], "dark": [], "light": []}


def test_names_are_shown_by_the_archive_to_who_is_logged_in_and_never_sent_by_the_service(
    site: Site, study: dict[str, Any], seen: dict[str, Any]
) -> None:
    patient = CANARIES[0].replace("^", " ")
    assert [row for row in seen["list"] if patient in row]
    assert patient in seen["study"]
    assert not [canary for canary in CANARIES if canary.replace("^", " ") in seen["title"]]
    for path in ("/curia/worklist", f"/curia/studies/{study['orthanc_id']}"):
        for accept in ("text/html", "application/json"):
            text = site.orthanc.http.get(path, headers={"Accept": accept}).text
            assert study["study_instance_uid"] in text or "text/html" in accept
            assert not [canary for canary in CANARIES if canary in text]
        assert site.orthanc.http.get(path, auth=None).status_code == 401


def test_the_list_is_searched(seen: dict[str, Any]) -> None:
    assert len(seen["list"]) == 4
    assert all(row.startswith("stored") for row in seen["list"])
    assert seen["filtered"] == []


def test_a_patient_is_found_whose_row_was_never_in_sight(seen: dict[str, Any]) -> None:
    assert [CANARIES[0].replace("^", " ") in row for row in seen["unseen"]] == [True, True]


def test_the_middle_slice_is_drawn_with_the_values_of_its_file(study: dict[str, Any], seen: dict[str, Any]) -> None:
    middle = _slices(study)[len(study["paths"]) // 2]
    shown = seen["withoutOverlay"]
    assert shown["grey"] == pytest.approx(_mean_grey(middle, shown, SOFT_TISSUE), rel=0.03)


def test_the_overlay_covers_the_pixels_of_the_seg(site: Site, study: dict[str, Any], seen: dict[str, Any]) -> None:
    carried = {uid for one in study["registration"] for uid in one["outputs"]}
    own = [one for one in study["objects"] if one["sop_instance_uid"] not in carried]
    (entry,) = (one for one in own if one["kind"] == "SEG")
    file = site.orthanc.http.get(f"/instances/{entry['orthanc_instance_id']}/file").content
    segmentation = hd.seg.segread(BytesIO(file))
    middle = _slices(study)[len(study["paths"]) // 2]
    masks = segmentation.get_pixels_by_source_instance([middle.SOPInstanceUID])
    area = float(masks.any(axis=-1).sum()) * _scale(middle, seen["first"]) ** 2
    letters = seen["withoutOverlay"]["colored"]
    assert letters < 0.05 * area
    assert seen["first"]["colored"] - letters == pytest.approx(area, rel=0.05)
    assert letters < seen["outlines"]["colored"] < 0.5 * seen["first"]["colored"]


def test_keys_wheel_and_buttons_do_what_they_say(study: dict[str, Any], seen: dict[str, Any]) -> None:
    count = len(study["paths"])
    assert seen["first"]["status"] == f"axial {count // 2 + 1} of {count} · window -160 to 240"
    assert seen["scrolled"] == f"axial {min(count, count // 2 + 3)} of {count} · window -160 to 240"
    assert seen["lung"]["status"].endswith("window -1350 to 150")
    assert seen["lung"]["grey"] > 1.5 * seen["first"]["grey"]
    assert seen["coronal"]["status"].startswith("coronal 257 of 512")
    assert seen["coronal"]["colored"] > 0
    assert seen["wheel"]["status"].startswith(f"axial {count} of {count}")


def test_the_earlier_study_shows_the_same_place_of_the_patient_at_every_step(
    study: dict[str, Any], seen: dict[str, Any]
) -> None:
    count, earlier = len(study["paths"]), seen["earlier"]
    aligned = "aligned with today's"
    assert earlier["first"]["status"] == f"axial {count // 2 + 1} of {count} \u00b7 {aligned}"
    assert earlier["scrolled"]["status"] == f"axial {min(count, count // 2 + 3)} of {count} \u00b7 {aligned}"
    assert earlier["coronal"]["status"].startswith("coronal 257 of 512")
    assert [one["difference"] < 0.1 for one in earlier.values()] == [True] * 3, earlier


@pytest.fixture(scope="module")
def read(study: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> SeriesReading[SourceSeries]:
    """The study's series, as this process's own encoder and heads read it."""
    pipeline = Pipeline.load(DEMO_MODEL, Settings.read(None, device="cpu"))
    scratch = tmp_path_factory.mktemp("scratch")
    index = index_study(study["paths"][0].parent, scratch=scratch, limits=pipeline.chain.limits)
    decisions = pipeline.chain.look_again(select_series(index, pipeline.chain.rules, limits=pipeline.chain.limits))
    source = pipeline.chain.read(next(one for one in decisions if one.selected))
    prepared = pipeline.chain.prepare(source)
    features = pipeline.chain.encode(prepared, scratch=scratch)
    reading = StudyReading((SeriesReading(source, encoder_input=prepared, features=features),))
    (series,) = read_findings(reading, pipeline.deployment.model.heads, device="cpu").current
    return series


def test_a_finding_whose_head_tells_no_place_says_so(seen: dict[str, Any], read: SeriesReading[SourceSeries]) -> None:
    """Of this chest only the body region is told."""
    assert (read.evidence, read.contributions) == ((), ())
    assert seen["evidence"] == {"maps": [], "waiting": None, "answer": "its head does not tell where it comes from"}


def test_a_page_opens_at_the_place_of_its_finding(with_mass: dict[str, Any], seen: dict[str, Any]) -> None:
    (mass,) = (one for one in with_mass["findings"] if one["localisation"])
    order = [one.SOPInstanceUID for one in _slices(with_mass)]
    place = order.index(mass["localisation"]["sop_instance_uid"])
    assert seen["heat"]["opened"].startswith(f"axial {place + 1} of {len(order)} ")
    # From another slice a word leads back there, though a mass of the brain was looked for as well.
    assert seen["heat"]["word"] == ["soft-tissue mass", seen["heat"]["opened"]]
    assert seen["heat"]["status"] != seen["heat"]["opened"]


def test_a_heat_map_glows_as_its_evidence_says_and_where_the_segment_lies(
    site: Site, with_mass: dict[str, Any], seen: dict[str, Any]
) -> None:
    (said,) = site.get(f"/curia/studies/{with_mass['orthanc_id']}/evidence")["maps"]
    evidence = np.frombuffer(base64.b64decode(said["values"]), np.uint8).reshape(said["shape"]) / 255
    fullest = int(evidence.sum(axis=(1, 2)).argmax())
    assert seen["heat"]["status"].startswith(f"axial {fullest + 1} of {len(evidence)} ")
    image = _slices(with_mass)[fullest]
    places = _pixel_places(image)
    cells = Geometry(np.array(said["affine"]), tuple(said["shape"])).indices(places.reshape(-1, 3))
    values = map_coordinates(evidence, cells.T, order=1, mode="nearest").reshape(image.Rows, image.Columns)
    glow = 225 * (190 / 255) * values**2  # of red over blue, where 190/255 is the strongest opacity
    shown = _at_pixels(seen["heat"], image)
    inner = (slice(2, -2), slice(2, -2))
    assert np.abs(shown - glow)[inner].mean() < 2
    assert np.corrcoef(shown[inner].ravel(), glow[inner].ravel())[0, 1] > 0.99
    (entry,) = (one for one in with_mass["objects"] if one["kind"] == "SEG")
    file = site.orthanc.http.get(f"/instances/{entry['orthanc_instance_id']}/file").content
    mask = hd.seg.segread(BytesIO(file)).get_pixels_by_source_instance([image.SOPInstanceUID]).any(axis=(0, -1))
    warm = shown > 225 * (190 / 255) * 0.5**2
    assert 2 * (warm & mask).sum() / (warm.sum() + mask.sum()) > 0.9


def test_a_click_maps_what_looks_alike_by_the_encoders_own_features(
    seen: dict[str, Any], read: SeriesReading[SourceSeries]
) -> None:
    uid, features = read.source.series_instance_uid, read.encoded
    (point,) = seen["prompt"]["similarity"]["asked"]
    maps = {one["series"]: one for one in seen["prompt"]["similarity"]["said"]["maps"]}
    found = maps.pop(uid)
    assert (point["series"], point["label"], [one["is_prior"] for one in maps.values()]) == (uid, 1, [True])
    tokens = np.asarray(features.tokens[0 : features.geometry.shape[0]], np.float64)
    tokens /= np.linalg.norm(tokens, axis=-1, keepdims=True)
    of = tokens.reshape(*features.geometry.shape, -1)
    clicked = tuple(np.rint(features.geometry.indices(np.array(point["point_lps_mm"]))).astype(int))
    expected = 255 * np.clip(of @ of[clicked], 0, 1)
    values = np.frombuffer(base64.b64decode(found["values"]), np.uint8).reshape(found["shape"])
    np.testing.assert_allclose(values, expected, atol=1.0)
    assert seen["prompt"]["milliseconds"] < 1000


def test_the_map_and_the_region_are_drawn_where_the_click_was_and_go_again(seen: dict[str, Any]) -> None:
    prompt, cut = seen["prompt"], seen["prompt"]["cut"]["said"]["region"]
    assert float(prompt["says"].split()[1]) == pytest.approx(cut["volume_ml"], rel=5e-3)
    box = Geometry(np.array(cut["affine"]), tuple(cut["shape"]))
    inside = box.indices(np.array(prompt["similarity"]["asked"][0]["point_lps_mm"]))
    assert ((inside > -17) & (inside < np.array(cut["shape"]) + 16)).all()
    plain, drawn = prompt["plain"]["colored"], prompt["drawn"]["colored"]
    assert drawn > prompt["withoutMap"]["colored"] > plain
    assert prompt["cleared"]["colored"] == plain


def test_the_region_is_seen_above_the_segments_and_the_map_on_the_earlier_study_too(seen: dict[str, Any]) -> None:
    assert seen["outline"]["overSegments"] == seen["outline"]["alone"] > 20
    assert seen["earlierMap"] > 100


def test_what_is_kept_lies_in_the_study_as_it_was_shown_under_the_persons_name(
    site: Site, study: dict[str, Any], seen: dict[str, Any]
) -> None:
    (kept,) = site.get(f"/curia/studies/{study['orthanc_id']}/regions")
    assert (kept["name"], kept["person"], kept["state"]) == ("Hepatic", USER, "stored")
    assert seen["kept"].startswith(f"Hepatic stored, by {USER}: volume")
    file = site.orthanc.http.get(f"/instances/{kept['segmentation']}/file").content
    segmentation = hd.seg.segread(BytesIO(file))
    region = seen["prompt"]["cut"]["said"]["region"]
    size = int(np.prod(region["shape"]))
    bits = np.unpackbits(np.frombuffer(base64.b64decode(region["bits"]), np.uint8), count=size, bitorder="little")
    assert segmentation.pixel_array.sum() == bits.sum()
    (item,) = segmentation.SegmentSequence
    assert (item.SegmentLabel, item.SegmentedPropertyTypeCodeSequence[0].CodeMeaning) == ("Hepatic", "Liver")
    assert site.modalities(study["orthanc_id"])["SR"] == 2
    again = site.study(study["study_instance_uid"])
    assert again is not None
    assert (again["work_id"], again["state"]) == (study["work_id"], "stored")


def test_a_word_a_synonym_or_a_code_leads_to_the_place_or_says_that_it_was_not_looked_for(seen: dict[str, Any]) -> None:
    words = seen["words"]
    assert words["skeleton"][0] == "bone"
    assert words["code"][0] == "lung"
    assert words["spleen"][0] == "\u201cspleen\u201d was not looked for in this study"
    told = "{}: not judged, without a place"
    assert words["mass"][0] == f"{told.format('brain mass')}; {told.format('soft-tissue mass')}"


def test_a_judgement_names_who_is_logged_in_at_orthanc(site: Site, study: dict[str, Any], seen: dict[str, Any]) -> None:
    (said,) = site.get(f"/curia/studies/{study['orthanc_id']}/judgements")
    assert (said["person"], said["verdict"], said["comment"]) == (USER, "rejected", "<i>not there</i>")
    assert seen["judged"] == f"{said['finding']} rejected by {USER}: <i>not there</i>"


def test_judgements_become_a_new_version_of_the_report_that_names_the_one_before(
    site: Site, study: dict[str, Any], seen: dict[str, Any]
) -> None:
    assert seen["version"].startswith("SR with 1 judgement: stored")
    (version,) = site.get(f"/curia/studies/{study['orthanc_id']}/report")
    file = site.orthanc.http.get(f"/instances/{version['report']}/file").content
    report = hd.sr.Comprehensive3DSR.from_dataset(dcmread(BytesIO(file)))
    (before,) = (one for one in study["objects"] if one["kind"] == "SR")
    (earlier,) = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert earlier.ReferencedSOPInstanceUID == before["sop_instance_uid"]
    assert report.VerificationFlag == "UNVERIFIED"
    judgement = CodedConcept("judgement", "99CURIA", "Judgement of a finding by a reader")
    (said,) = find_content_items(report, name=judgement, recursive=True)
    details = {item.ConceptNameCodeSequence[0].CodeMeaning: item for item in said.ContentSequence}
    assert said.ConceptCodeSequence[0].CodeValue == "rejected"
    assert details["Person Observer Name"].PersonName == USER
    assert details["Comment"].TextValue.endswith(": <i>not there</i>")


def test_whatever_a_header_holds_is_shown_as_text(seen: dict[str, Any]) -> None:
    foreign = seen["foreign"]
    assert foreign["patient"].startswith(FOREIGN_NAME.replace("\u202e", "")[:30])
    assert foreign["description"].startswith("<img src=x onerror=window.hit=2>")
    assert (foreign["hit"], foreign["hitInList"], foreign["overflow"]) == ("undefined", "undefined", 0)
    assert len(foreign["listed"]) == 1
    assert "window" not in foreign["title"]


def test_a_phone_scrolls_down_only_and_an_unknown_study_says_so(seen: dict[str, Any]) -> None:
    assert seen["overflow"] == 0
    assert "This study is not known here" in seen["unknown"]


def _slices(study: dict[str, Any]) -> list[Any]:
    return sorted((dcmread(path) for path in study["paths"]), key=lambda one: one.ImagePositionPatient[2])


def _pixel_places(image: Any) -> np.ndarray[Any, Any]:
    """(rows, columns, 3): LPS mm of the pixels' centres."""
    across, down = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
    row_mm, column_mm = (float(one) for one in image.PixelSpacing)
    rows, columns = np.mgrid[: image.Rows, : image.Columns][..., None]
    return np.array(image.ImagePositionPatient, float) + rows * row_mm * down + columns * column_mm * across


def _at_pixels(shown: dict[str, Any], image: Any) -> np.ndarray[Any, Any]:
    """What the canvas has at the centre of each pixel of the image, which lies in its middle."""
    canvas = np.frombuffer(base64.b64decode(shown["warm"]), np.uint8).reshape(shown["height"], shown["width"])
    scale = _scale(image, shown)
    rows = (shown["height"] - scale * image.Rows) / 2 + scale * (np.arange(image.Rows) + 0.5)
    columns = (shown["width"] - scale * image.Columns) / 2 + scale * (np.arange(image.Columns) + 0.5)
    return canvas[np.ix_(rows.astype(int), columns.astype(int))].astype(float)


def _scale(image: Any, shown: dict[str, Any]) -> float:
    """Canvas pixels for each image pixel, which is square."""
    return min(shown["width"] / image.Columns, shown["height"] / image.Rows)


def _mean_grey(image: Any, shown: dict[str, Any], window: tuple[int, int]) -> float:
    """Over the whole canvas, which is black beside the image."""
    low, high = window
    values = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
    grey = np.clip((values - low) * 255 / (high - low), 0, 255).mean()
    covered = _scale(image, shown) ** 2 * image.Columns * image.Rows / (shown["width"] * shown["height"])
    return float(grey * covered)
