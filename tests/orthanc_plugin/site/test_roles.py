from orthanc_plugin.site.roles import Roles


def test_everybody_views_judges_and_runs_and_nobody_reads_the_trail_unless_the_site_says_so() -> None:
    roles = Roles()
    assert [roles.has("anna", role) for role in ("view", "judge", "run", "admin")] == [True, True, True, False]


def test_named_users_have_the_role_and_an_admin_has_all() -> None:
    roles = Roles(view=("anna", "bert"), judge=("anna",), run=(), admin=("carl",))
    views = {person for person in ("anna", "bert", "carl", "", "dora") if roles.has(person, "view")}
    assert views == {"anna", "bert", "carl"}
    assert [roles.has(person, "judge") for person in ("anna", "bert", "carl")] == [True, False, True]
    assert [roles.has(person, "run") for person in ("anna", "carl")] == [False, True]
