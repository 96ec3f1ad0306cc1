"""The chooser of SavedModels' engines, as the settings say."""

from unstuck.choosing.chooser import FOLDER, Chooser, available
from unstuck.config.settings import ServerConfig
from unstuck.core.locations import cache_folder
from unstuck.engines.onnx import OnnxEngine


def chooser_of(config: ServerConfig) -> Chooser | None:
    """None where TensorFlow runs all SavedModels.

    Raises:
        SetupError: ONNX Runtime is to run them, and what converts them is not installed.
    """
    if config.engine == "tensorflow" or not available(config.engine):
        return None
    return Chooser(
        asked=config.engine,
        tags=config.saved_model_tags,
        cache=cache_folder(config.model_cache_dir) / FOLDER,
        onnx=OnnxEngine().loader,
        golden=config.golden_rows == "check",
    )
