"""The messages of HandleReloadConfigRequest, both ways."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from unstuck.codecs import model_spec_proto
from unstuck.core.models import ModelConfig
from unstuck.errors import InvalidRequest
from unstuck.proto.model_config import models_of, problems_of
from unstuck.proto.wire.management_pb2 import ReloadConfigRequest, ReloadConfigResponse


@dataclass(frozen=True, slots=True)
class Reload:
    """What a reload asks for: the models to serve, and the metrics whose increase it wants to be told."""

    models: tuple[ModelConfig, ...]
    metric_names: tuple[str, ...]


def parse(payload: bytes, platforms: Collection[str]) -> Reload:
    """The reload that a ReloadConfigRequest asks for; ``platforms`` are the engines' names.

    Raises:
        UnreadableMessage: it is no such message.
        InvalidRequest: it has no list of models, or a wrong one.
    """
    message = model_spec_proto.read(ReloadConfigRequest, payload)
    if message.config.WhichOneof("config") != "model_config_list":
        raise InvalidRequest(
            "ReloadConfigRequest.config must have a model_config_list.", hint="List every model that is to be served."
        )
    problems = problems_of(message.config, platforms)
    if problems:
        raise InvalidRequest("; ".join(str(each) for each in problems))
    return Reload(models_of(message.config), tuple(message.metric_names))


def encode(metric_names: Sequence[str]) -> bytes:
    """A serialised ReloadConfigResponse that says OK. No metric is kept yet, so each has increased by 0."""
    response = ReloadConfigResponse()
    response.status.SetInParent()
    for name in metric_names:
        response.metric.add(name=name, int64_value_increase=0)
    return response.SerializeToString()
