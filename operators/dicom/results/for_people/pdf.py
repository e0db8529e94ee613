"""The results as a PDF of A4 pages."""

from collections.abc import Sequence
from html import escape
from io import BytesIO

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import StyleSheet1, getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Image, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from operators.dicom.results.follow_up_table import NOTE
from operators.dicom.results.for_people.page import FINDING_COLUMNS, MEASUREMENT_COLUMNS, ReportPage

_MARGIN = 18 * mm
_PICTURE_SIDE = 130 * mm
_EMBEDDED = {"Helvetica": "Vera", "Helvetica-Bold": "VeraBd", "Helvetica-BoldOblique": "VeraBI"}
"""ReportLab's own fonts for those that it takes for granted: a viewer without Helvetica takes a wider one, and words
run over the margin and over one another."""
_SCALE = 0.88
"""Vera's letters are that much wider than Helvetica's."""
_TABLE_STYLE = TableStyle(
    [
        ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.grey),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 2),
        ("RIGHTPADDING", (0, 0), (-1, -1), 2),
    ]
)


def _styles() -> StyleSheet1:
    for name in _EMBEDDED.values():
        pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))
    styles = getSampleStyleSheet()
    for style in styles.byName.values():
        if getattr(style, "fontName", None) in _EMBEDDED:
            style.fontName = _EMBEDDED[style.fontName]
            style.fontSize *= _SCALE
            style.leading *= _SCALE
    return styles


_STYLES = _styles()


def render_pdf(page: ReportPage) -> bytes:
    """Equal pages give equal bytes: the document holds no date and no random identifier."""
    buffer = BytesIO()
    document = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN,
        title=page.title,
        author=page.producer,
        invariant=1,
    )

    def mark(canvas: Canvas, _: SimpleDocTemplate) -> None:
        """A page that is printed and separated from the others must still say what it is."""
        canvas.setFont(_EMBEDDED["Helvetica-Bold"], 8)
        canvas.drawString(_MARGIN, _MARGIN / 2, page.use_statement)

    document.build(_story(page), onFirstPage=mark, onLaterPages=mark)
    return buffer.getvalue()


def _story(page: ReportPage) -> list[Flowable]:
    story: list[Flowable] = [_text(page.title, "Title"), _text(page.use_statement, "Heading3")]
    story += _table("Findings", FINDING_COLUMNS, page.findings)
    story += _table("Measurements", MEASUREMENT_COLUMNS, page.measurements)
    for name, table in page.follow_ups:
        story += _table(f"Follow-up, {name}", table.columns, table.rows)
        story.append(_text(NOTE, "BodyText"))
    for caption, png in page.pictures:
        drawn = Image(BytesIO(png), _PICTURE_SIDE, _PICTURE_SIDE, kind="proportional")
        story.append(KeepTogether([Spacer(0, 6 * mm), drawn, _text(caption, "BodyText")]))
    return [*story, Spacer(0, 6 * mm), _text(page.producer, "BodyText")]


def _table(heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Flowable]:
    if not rows:
        return []
    cells = [
        [_text(name, "Heading5") for name in columns],
        *([_text(cell, "BodyText") for cell in row] for row in rows),
    ]
    return [_text(heading, "Heading2"), Table(cells, repeatRows=1, style=_TABLE_STYLE)]


def _text(text: str, style: str) -> Paragraph:
    return Paragraph(escape(text), _STYLES[style])
