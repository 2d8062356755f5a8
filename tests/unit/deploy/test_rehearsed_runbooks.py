"""The game day has a rehearsal for each alert and runs each command of the runbooks, or says why not."""

import sys

import pytest
from deploy_files import ROOT, rules

sys.path.append(str(ROOT / "tests" / "integration"))
from gameday.rehearsals import NEVER_PROVOKED, NOT_RUN, REHEARSALS, Do, Run
from gameday.runbooks import FIRST, commands, filled, says, sections

ALERTS = {rule["alert"] for rule in rules() if "alert" in rule}


def test_each_alert_is_provoked_or_it_is_said_why_not():
    provoked = {alert for each in REHEARSALS.values() for alert in (each.section, *each.alerts)}
    assert provoked | NEVER_PROVOKED.keys() == ALERTS
    assert not provoked & NEVER_PROVOKED.keys()


def test_each_command_is_run_or_it_is_said_why_not():
    written = {(alert, command) for alert, text in sections().items() for command in commands(text)}
    asked_first = {(FIRST, command) for command in commands(sections()[FIRST]) if command.startswith("encserve ")}
    run = {(each.section, step.command) for each in REHEARSALS.values() for step in each.steps if isinstance(step, Run)}
    assert run <= written
    assert {command for _, command in written - run - asked_first} == NOT_RUN.keys()


@pytest.mark.parametrize("name", REHEARSALS)
def test_what_is_done_stands_in_the_runbooks(name):
    rehearsal = REHEARSALS[name]
    for alert, sentence in rehearsal.alerts.items():
        assert says(sections()[alert], sentence), (alert, sentence)
    for step in rehearsal.steps:
        if isinstance(step, Do):
            assert says(sections()[rehearsal.section], step.sentence), step.sentence
        else:
            filled(step.command, **step.words)


def test_a_word_that_is_forgotten_or_unknown_is_found():
    assert filled("encserve canary NAME --end", NAME="minilm") == ["encserve", "canary", "minilm", "--end"]
    with pytest.raises(AssertionError, match="NAME"):
        filled("encserve rollback NAME")
    with pytest.raises(AssertionError, match="FILE"):
        filled("encserve rollback NAME", NAME="minilm", FILE="texts")
