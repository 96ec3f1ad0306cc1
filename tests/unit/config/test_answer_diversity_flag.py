import pytest

from unstuck.config.flags import FlagError, parse
from unstuck.config.serve_flags import SERVE_FLAGS
from unstuck.config.serving import server_config


@pytest.mark.parametrize(("given", "watched"), [([], True), (["--answer_diversity=on"], True)])
def test_answers_are_watched_unless_that_is_switched_off(given, watched):
    assert server_config(parse(["/m", *given], SERVE_FLAGS)).answer_diversity is watched
    assert not server_config(parse(["/m", "--answer_diversity=off"], SERVE_FLAGS)).answer_diversity


def test_it_is_on_or_off():
    with pytest.raises(FlagError, match="--answer_diversity=true is malformed: expected on or off"):
        parse(["/m", "--answer_diversity=true"], SERVE_FLAGS)
