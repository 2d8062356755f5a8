"""How several processes share the tests."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.fixture
def shared(request):
    """The file that says how."""
    return request.config.pluginmanager.get_plugin(str(TESTS / "conftest.py"))


def test_one_process_has_a_folder_of_real_servers_or_a_file(shared):
    def scope(path):
        return shared.ByFile._split_scope(None, f"tests/{path}::test_something")

    assert scope("integration/doors/test_tls.py") == scope("integration/doors/test_canary.py")
    assert scope("integration/life/test_faults.py") == scope("integration/life/test_deploy.py")
    assert scope("integration/life/test_faults.py") != scope("integration/life/versions/test_promotion.py")
    assert scope("integration/life/test_faults.py") != scope("integration/tasks/test_answers.py")
    assert scope("integration/alerts/test_alerts.py") == scope("integration/planning/test_plan.py"), "not at once"
    assert scope("unit/docs/test_site.py") != scope("unit/docs/test_first_change.py")


def test_the_folders_that_come_first_are_there_and_do_so(shared):
    assert all((TESTS / "integration" / folder).is_dir() for folder in {*shared.FIRST, *shared.TOGETHER})
    files = ["unit/test_scopes.py", "integration/life/test_faults.py", "integration/life/versions/test_promotion.py"]
    assert sorted(files, key=shared.place_of) == files[::-1]
