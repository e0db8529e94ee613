"""Preview and PDF hold the same page: every finding with its answer, the statement on each page, and no patient."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import pydicom
import pypdfium2
import pytest
from PIL import Image
from pypdfium2 import raw

from companion_cases import encapsulated_pdf, report_page, results_of
from conformance_matrix import case_of
from operators.dicom.results.for_people.html_preview import render_html
from operators.dicom.results.for_people.pdf import render_pdf
from phantoms import SeriesSpec, build_source_series
from result_cases import PROVENANCE, build_case, save

PATIENT = ("PHANTOM", "Phantom^", "Asymmetric", "19500607", "20240131")


class _Text(HTMLParser):
    def __init__(self):
        super().__init__()
        self.text, self.pictures, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "img":
            self.pictures.append(dict(attrs)["src"])

    def handle_data(self, data):
        self.text.append(data)


def read_html(text):
    parser = _Text()
    parser.feed(text)
    return parser


def words(text):
    return " ".join(text.split())


def pdf_pages(content):
    document = pypdfium2.PdfDocument(content)
    try:
        return [words(page.get_textpage().get_text_bounded()) for page in document]
    finally:
        document.close()


@pytest.fixture(scope="module")
def case():
    return case_of("CT axial")


@pytest.fixture(scope="module")
def rendered(case):
    page = report_page(case)
    return words("\n".join(read_html(render_html(page)).text)), " ".join(pdf_pages(render_pdf(page)))


def test_every_finding_is_told_with_its_answer(rendered):
    for text in rendered:
        assert "soft-tissue mass present 0.88 0.50 Soft tissue CT 3 mass" in text
        assert "head absent 0.06 0.50 CT 3 region" in text
        assert "chest present 0.75 CT 3 region" in text
        assert "not evaluated, the liver is not in the images" in text
        assert PROVENANCE.use_statement in text
        assert PROVENANCE.software_versions in text


def test_no_patient_is_named(case, rendered):
    for text in (*rendered, render_html(report_page(case))):
        assert not any(word in text for word in PATIENT)


def test_every_page_of_a_long_report_says_what_it_is(case):
    page = report_page(case)
    long = replace(page, findings=page.findings * 40)
    pages = pdf_pages(render_pdf(long))
    assert len(pages) > 2
    assert all(text.count(PROVENANCE.use_statement) >= 1 for text in pages)


def test_every_word_is_in_a_font_that_the_document_brings(case):
    document = pypdfium2.PdfDocument(render_pdf(report_page(case)))
    texts = [text for page in document for text in page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT])]
    fonts = [raw.FPDFTextObj_GetFont(text) for text in texts]
    assert fonts
    assert all(raw.FPDFFont_GetIsEmbedded(font) for font in fonts)
    document.close()


def test_words_of_a_model_are_text_and_never_markup(case):
    page = replace(report_page(case), findings=(("<script>x</script> & <b>", "", "", "", "", "", ""),))
    assert "script" not in read_html(render_html(page)).tags
    assert "<script>x</script> & <b>" in " ".join(pdf_pages(render_pdf(page)))


def test_the_preview_needs_nothing_beside_it(case):
    html = render_html(report_page(case))
    (source,) = read_html(html).pictures
    picture = Image.open(BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,"))))
    assert picture.size == (768, 614)  # 72 x 57.6 mm
    assert re.findall(r"https?://|src=\"(?!data:)", html) == []


def test_a_negative_study_has_a_page_without_pictures(case):
    page = replace(report_page(case), pictures=(), measurements=())
    assert read_html(render_html(page)).pictures == []
    assert len(pdf_pages(render_pdf(page))) == 1


def test_equal_pages_give_equal_documents():
    pages = [report_page(build_case(build_source_series(SeriesSpec()))) for _ in range(2)]
    assert render_pdf(pages[0]) == render_pdf(pages[1])
    assert render_html(pages[0]) == render_html(pages[1])


def test_the_document_comes_out_of_the_object_whole(case, tmp_path):
    dataset = pydicom.dcmread(save(encapsulated_pdf(case), tmp_path))
    content = render_pdf(report_page(case))
    assert dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength] == content
    assert len(dataset.EncapsulatedDocument) % 2 == 0
    assert dataset.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert dataset.BurnedInAnnotation == "NO"
    referred = {item.ReferencedSOPInstanceUID for item in dataset.SourceInstanceSequence}
    assert referred == {*case.source.sop_instance_uids, *(result.SOPInstanceUID for result in results_of(case))}
