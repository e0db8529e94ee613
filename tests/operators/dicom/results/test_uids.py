import re

from operators.dicom.results.uids import RunIdentity, derive_uid


def test_uids_are_valid_and_never_start_a_component_with_zero():
    for number in range(2000):
        uid = derive_uid("x", str(number))
        assert re.fullmatch(r"2\.25\.[1-9][0-9]*", uid)
        assert len(uid) <= 64
        assert int(uid.rsplit(".", 1)[1]) < 2**128  # the root is for UUIDs


def test_where_the_parts_are_cut_matters():
    assert len({derive_uid("ab", "c"), derive_uid("a", "bc"), derive_uid("abc"), derive_uid("abc", "")}) == 4


def test_a_uid_is_a_function_of_everything_that_determines_the_run():
    uids = {
        RunIdentity(source, model, settings).uid(kind, content)
        for source in "ab"
        for model in "ab"
        for settings in "ab"
        for kind in ("SEG", "SR")
        for content in ("", "1")
    }
    assert len(uids) == 32
    assert RunIdentity("a", "b", "c").uid("SEG", "1") == RunIdentity("a", "b", "c").uid("SEG", "1")


def test_everything_tracked_in_a_run_has_a_uid_of_its_own():
    identity = RunIdentity("a", "b", "c")
    uids = {
        identity.tracking_uid(series, head, label)
        for series in ("1.2", "1.3")
        for head in ("organs", "mass")
        for label in ("lung", "liver")
    }
    assert len(uids) == 8
    assert not uids & {identity.uid("SEG"), identity.uid("tracking")}
    assert RunIdentity("d", "b", "c").tracking_uid("1.2", "organs", "lung") not in uids
