from operators.dicom.results.follow_up_table import follow_up_table
from operators.domain.concepts import MASS
from operators.domain.follow_up import Course, FollowUp, FollowUpDate, Sizes


def test_what_the_border_cuts_off_has_the_size_of_what_is_seen() -> None:
    sizes = (Sizes(88.987, 58.4, 49.1, is_cut_off=True), Sizes(None, is_cut_off=True), None, Sizes(4.0, 21.0, 17.5))
    dates = tuple(FollowUpDate(f"1.{days}", "1.2", days, None) for days in (300, 200, 100, 0))
    table = follow_up_table(FollowUp("1.2", dates, (Course("mass", MASS, None, True, "2.25.1", 1, sizes),), None))
    assert table.rows[0][1:5] == (
        "88.99 ml of it, cut off by the border",
        "cut off by the border",
        "–",
        "4.00 ml, 21.0 x 17.5 mm",
    )
