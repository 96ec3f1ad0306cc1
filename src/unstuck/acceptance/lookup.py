"""A version that does not serve yet, as requests find one."""

from dataclasses import dataclass

from unstuck.core.models import ModelSpec
from unstuck.core.servables import AvailableModel, Models


@dataclass(frozen=True, slots=True)
class Only(Models):
    """The lookup of one version, whatever a request names."""

    model: AvailableModel

    @property
    def spec(self) -> ModelSpec:
        return ModelSpec(self.model.name, self.model.version)

    def find(self, spec: ModelSpec) -> AvailableModel:
        del spec
        return self.model
