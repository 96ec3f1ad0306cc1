"""A pipeline file as text, with comments that say where its values come from."""

import json
from collections.abc import Sequence

from unstuck.core.signatures import show_shape
from unstuck.data.columns import Column
from unstuck.data.matching import Made
from unstuck.pipeline import PROFILE
from unstuck.pipeline.profile import FeatureProfile, TrainingProfile

STEP_STATISTICS = {"z_score": ("mean", "std"), "min_max": ("min", "max")}
WORDS_OF_YAML = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
FLOATS = ("float", "double")  # what normalising gives


class PipelineText:
    """Built input by input."""

    def __init__(self, signature_name: str, profile: TrainingProfile, normalise: str, command: str) -> None:
        self._profile = profile
        self._normalise = normalise
        self._lines = [
            f"# Learnt from {profile.rows:,} rows by: {' '.join(command.split())}",
            "# It must be what training did: compare it with the training code.",
            "signatures:",
            f"  {_quoted(signature_name)}:",
            "    raw:",
            *(f"      {_quoted(name)}: {_raw(each)}" for name, each in profile.features.items()),
            "    inputs:",
        ]

    def add(self, made: Made, token_steps: Sequence[tuple[str, str]]) -> None:
        """Adds an input, with the steps from text to ids where it is one."""
        self._lines.append(f"      {_quoted(made.spec.alias)}:  # {made.spec}")
        if len(made.columns) == 1:
            (column,) = made.columns
            self._lines.append(f"        from: {_quoted(column.name)}")
            self._add_steps("        ", [*token_steps, *self._number_steps(made, column)])
            return
        order = "the file's order" if made.in_file_order else "the order that was named"
        self._lines.append(f"        concat:  # in {order}")
        for column in made.columns:
            self._lines.append(f"          - from: {_quoted(column.name)}")
            self._add_steps("            ", self._number_steps(made, column))

    def written(self) -> str:
        return "\n".join(self._lines) + "\n"

    def _add_steps(self, indent: str, steps: Sequence[tuple[str, str]]) -> None:
        if steps:
            self._lines.append(f"{indent}steps:")
        for step, source in steps:
            self._lines.append(f"{indent}  - {step}" + (f"  # {source}" if source else ""))

    def _number_steps(self, made: Made, column: Column) -> list[tuple[str, str]]:
        if made.how != "numbers":
            return []
        steps: list[tuple[str, str]] = []
        if self._normalise in STEP_STATISTICS:
            steps.append(self._normalising(column.name))
        if made.spec.dtype.name not in FLOATS:
            steps.append((f"cast: {{dtype: {made.spec.dtype.name}}}", "the input's dtype"))
        return steps

    def _normalising(self, name: str) -> tuple[str, str]:
        least, most = STEP_STATISTICS[self._normalise]
        feature = self._profile.features[name]
        first, second = getattr(feature, least), getattr(feature, most)
        constant = [not b if least == "mean" else a == b for a, b in zip(_list(first), _list(second), strict=True)]
        source = f"--normalise={self._normalise}; of {PROFILE.name}"
        if any(constant):
            # Training with one value only: as scikit-learn does it, nothing is divided by 0.
            filled = [
                (1.0 if least == "mean" else a + 1) if same else b
                for a, b, same in zip(_list(first), _list(second), constant, strict=True)
            ]
            second = filled if isinstance(second, list) else filled[0]
            source += f", with {1 if least == 'mean' else 'min + 1'} as {most} where training had one value only"
        elif isinstance(first, list):
            return f"{self._normalise}: {{file: {PROFILE.name}, feature: {_quoted(name)}}}", source
        return f"{self._normalise}: {{{least}: {json.dumps(first)}, {most}: {json.dumps(second)}}}", source


def _raw(feature: FeatureProfile) -> str:
    shape = f", shape: {show_shape(feature.shape)}" if feature.shape else ""
    missing = f"  # {feature.missing:.2%} missing in training" if feature.missing else ""
    return f"{{dtype: {feature.dtype}{shape}}}{missing}"


def _list(value: float | list[float]) -> list[float]:
    return value if isinstance(value, list) else [value]


def _quoted(text: str) -> str:
    is_plain = text.isidentifier() and text.isascii() and text.lower() not in WORDS_OF_YAML
    return text if is_plain else json.dumps(text, ensure_ascii=False)
