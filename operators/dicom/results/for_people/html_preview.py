"""The results as one HTML file that needs nothing beside it, for people without a viewer."""

import base64
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from operators.dicom.results.follow_up_table import NOTE
from operators.dicom.results.for_people.page import FINDING_COLUMNS, MEASUREMENT_COLUMNS, ReportPage

FILE_NAME = "preview.html"


def render_html(page: ReportPage) -> str:
    pictures = [(caption, base64.b64encode(png).decode()) for caption, png in page.pictures]
    return _template().render(
        page=page,
        pictures=pictures,
        finding_columns=FINDING_COLUMNS,
        measurement_columns=MEASUREMENT_COLUMNS,
        follow_up_note=NOTE,
    )


@cache
def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True).get_template(
        "html_preview.jinja"
    )
