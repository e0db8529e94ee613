"""What the intake decides about studies that a real Orthanc has: rules, counts that the modality told, hours."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydicom import dcmread

from integration.running_site import Site, changed, running_site
from integration.warm_stand_in import warm_pool
from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.demo.local_orthanc import USER
from orthanc_plugin.domain.states import State
from orthanc_plugin.intake.intake import FORCED_PRIORITY, Intake, Timing
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.ledger.studies import StudyRow
from orthanc_plugin.site.orthanc_access import OrthancAccess
from orthanc_plugin.site.rules import SiteRule
from orthanc_plugin.work.engine import DurableEngine

pytestmark = pytest.mark.integration

MakeStudy = Callable[[str], tuple[str, list[Path]]]
# The clock of Orthanc, and so a study's silence, counts whole seconds.
INCOMPLETE_SECONDS = 3.0


class Desk:
    """An Orthanc with an intake that queues work and has nothing done to it."""

    def __init__(self, site: Site, client: OrthancClient, ledger: Ledger, intake: Intake) -> None:
        self.site, self.client, self.ledger, self.intake = site, client, ledger, intake

    def arrive(self, paths: list[Path], folder: Path, **values: str) -> str:
        """Send the images with some attributes set; the study's Orthanc id."""
        self.site.send(changed(paths, folder, **values))
        (orthanc_id,) = self.client.studies_named(str(dcmread(paths[0]).StudyInstanceUID))
        return orthanc_id

    def wait(self, orthanc_id: str, reason: str | None, state: State = State.WAITING) -> StudyRow:
        def reached() -> StudyRow | None:
            row = self.ledger.studies.row(orthanc_id)
            return row if row is not None and (row.state, row.reason) == (state, reason) else None

        row: StudyRow = self.site.wait(reached, f"{state}: {reason}", 20.0)
        return row


def _rules() -> list[SiteRule]:
    in_an_hour, in_two = (datetime.now() + timedelta(hours=hours) for hours in (1, 2))
    rules = [
        {"name": "phantoms", "tags": {"StudyDescription": "(?i)phantom"}, "run": False},
        {"name": "night", "tags": {"StudyDescription": "NIGHT"}, "start": f"{in_an_hour:%H:%M}-{in_two:%H:%M}"},
        {"name": "emergency", "calling_aet": "CURIA.*", "modalities": ["CT"], "priority": 7},
    ]
    return [SiteRule.model_validate(rule) for rule in rules]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder, stop = tmp_path_factory.mktemp("desk"), threading.Event()
    url = f"sqlite:///{folder / 'service.sqlite'}"
    with ExitStack() as closing:
        site = closing.enter_context(running_site(folder / "orthanc"))
        access = OrthancAccess(site.orthanc.url, USER, SecretStr(site.orthanc.password))
        ledger = Ledger.open(url)
        closing.callback(ledger.close)
        client = OrthancClient(access, patience_seconds=5.0, stop=stop)
        closing.callback(client.close)
        pool = warm_pool(stop)
        closing.callback(pool.close)
        engine = DurableEngine(
            database_url=url,
            executor_id="desk",
            attempt=lambda _work_id: nullcontext(1),
            steps=[("nothing", lambda _work_id, _lease: State.QUEUED.value)],
            concurrency=1,
        )
        engine.start()
        closing.callback(engine.stop)
        intake = Intake(
            Timing(
                quiet_seconds=0.0, poll_seconds=0.2, incomplete_seconds=INCOMPLETE_SECONDS, sweep_seconds=600.0,
                backlog_days=7.0,
            ),
            rules=_rules(), reader="desk", client=client, ledger=ledger, engine=engine, workers=pool,
            wishes=queue.SimpleQueue(), stop=stop,
        )  # fmt: skip
        thread = threading.Thread(target=intake.run)
        thread.start()
        closing.callback(thread.join)
        closing.callback(stop.set)
        yield Desk(site, client, ledger, intake)


def test_the_sender_decides_about_the_priority(desk: Desk, make_study: MakeStudy, tmp_path: Path) -> None:
    row = desk.wait(desk.arrive(make_study("intake-emergency")[1], tmp_path), None, State.QUEUED)
    assert row.job is not None
    assert (row.job.rule, row.job.priority, row.job.warnings) == ("emergency", 7, ())


def test_a_study_with_fewer_images_than_told_is_waited_for_and_then_run(
    desk: Desk, make_study: MakeStudy, tmp_path: Path
) -> None:
    _, paths = make_study("intake-incomplete")
    orthanc_id = desk.arrive(paths, tmp_path, ImagesInAcquisition=str(len(paths) + 2))
    desk.wait(orthanc_id, "2 images fewer came than the modality told")
    row = desk.wait(orthanc_id, None, State.QUEUED)
    assert row.job is not None
    assert [warning.code for warning in row.job.warnings] == ["study-incomplete"]
    silent = desk.client.now() - desk.client.study(orthanc_id).last_update
    assert silent.total_seconds() >= INCOMPLETE_SECONDS


def test_what_a_rule_leaves_alone_or_holds_back_runs_when_somebody_asks(
    desk: Desk, make_study: MakeStudy, tmp_path: Path
) -> None:
    left = desk.arrive(make_study("intake-phantom")[1], tmp_path, StudyDescription="QA Phantom")
    held = desk.arrive(make_study("intake-night")[1], tmp_path, StudyDescription="NIGHT")
    desk.wait(left, "left alone by the rule phantoms", State.NOT_APPLICABLE)
    desk.wait(held, "held back by the rule night")
    for orthanc_id in (left, held):
        desk.intake.force(orthanc_id)
        row = desk.wait(orthanc_id, None, State.QUEUED)
        assert row.job is not None
        assert row.job.priority == FORCED_PRIORITY


def test_a_study_that_was_brought_to_compare_with_runs_when_somebody_asks(
    desk: Desk, make_study: MakeStudy, tmp_path: Path
) -> None:
    uid, paths = make_study("intake-brought")
    desk.ledger.studies.note_brought(uid)
    orthanc_id = desk.arrive(paths, tmp_path)
    reason = "brought from another archive to compare with; run it by hand to have it read"
    desk.wait(orthanc_id, reason, State.NOT_APPLICABLE)
    desk.intake.force(orthanc_id)
    desk.wait(orthanc_id, None, State.QUEUED)


def test_a_study_whose_late_image_is_gone_again_stands_as_before(
    desk: Desk, make_study: MakeStudy, tmp_path: Path
) -> None:
    _, (*early, late) = make_study("intake-withdrawn")
    orthanc_id = desk.arrive(early, tmp_path)
    before = desk.wait(orthanc_id, None, State.QUEUED).job
    desk.arrive([late], tmp_path)
    assert before is not None
    desk.site.wait(lambda: _current_work_id(desk, orthanc_id) not in (None, before.work_id), "work on all images")
    (instance,) = desk.client.instances_named(str(dcmread(late).SOPInstanceUID))
    desk.client.delete_instance(instance)
    desk.intake.nudge(orthanc_id)
    desk.site.wait(lambda: _current_work_id(desk, orthanc_id) == before.work_id, "the earlier work again")


def _current_work_id(desk: Desk, orthanc_id: str) -> str | None:
    row = desk.ledger.studies.row(orthanc_id)
    return None if row is None or row.job is None else row.job.work_id
