import pytest

from unstuck.config.settings import ServerConfig
from unstuck.errors import SetupError
from unstuck.server.engine_choice import chooser_of


def test_nothing_is_chosen_unless_it_is_asked_for():
    assert chooser_of(ServerConfig()) is None


def test_the_settings_of_the_chooser(tmp_path):
    chooser = chooser_of(ServerConfig(engine="auto", model_cache_dir=tmp_path, golden_rows="warn"))
    assert (chooser.asked, chooser.cache, chooser.golden) == ("auto", tmp_path / "onnx", False)
    assert chooser_of(ServerConfig(engine="onnx", model_cache_dir=tmp_path)).golden


def test_conversions_are_kept_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert chooser_of(ServerConfig(engine="auto")).cache == tmp_path / "unstuck" / "onnx"


def test_without_the_converter(monkeypatch):
    monkeypatch.setattr("unstuck.choosing.conversion.MODULES", ("no_such_module_16",))
    assert chooser_of(ServerConfig(engine="auto")) is None
    with pytest.raises(SetupError, match="no_such_module_16"):
        chooser_of(ServerConfig(engine="onnx"))
