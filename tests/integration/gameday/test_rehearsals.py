"""The game day: each alert is provoked on a real server, and its runbook followed until the alert is over.

Slow: alerts take their time to come and go, and a server is started again and again.
"""

import pytest

from .rehearsals import REHEARSALS, Do
from .runbooks import commands, says, sections
from .site import OVER_S

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", REHEARSALS)
def test_the_runbook_ends_the_alert(site, name):
    rehearsal = REHEARSALS[name]
    section = sections()[rehearsal.section]
    alerts = {rehearsal.section, *rehearsal.alerts}
    site.recover()
    site.wait_until_well("minilm", rehearsal.pipeline)
    with rehearsal.broken(site) as load:
        for alert in sorted(alerts):
            site.watching.wait_for(alert)
        site.ask_first(rehearsal.health)
        for step in rehearsal.steps:
            if isinstance(step, Do):
                assert says(section, step.sentence)
                step.by(site, load)
            else:
                assert step.command in commands(section)
                words = {word: value.format(texts=site.texts) for word, value in step.words.items()}
                site.run(step.command, step.code, **words)
        site.watching.wait_until_over(*alerts, most_s=OVER_S)
    site.wait_for_answers_of(rehearsal.pipeline)
