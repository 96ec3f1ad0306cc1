"""What clients send to the examples: varied requests, as plain data. No TensorFlow is needed to import them.

`python -m examples.requests NAME` prints an example's requests as one body for POST /v1/models/NAME:predict.
"""

import json
import sys
from dataclasses import dataclass
from typing import Any

from examples import image, tabular, text


@dataclass(frozen=True)
class Request:
    """One row of `instances`, how people read it, and the class that the right model gives it."""

    shown: str
    instance: dict[str, Any]
    expected: str


@dataclass(frozen=True)
class Example:
    """A model, the mistake of its broken twin, and requests to send to both."""

    name: str
    question: str
    classes: tuple[str, ...]
    mistake: str
    requests: tuple[Request, ...]

    @property
    def twin(self) -> str:
        """The name of the model that makes the mistake."""
        return f"{self.name}_broken"

    def to_twin(self, instance: dict[str, Any]) -> dict[str, Any]:
        """The instance as clients send it to the twin, which takes lists of words: each sentence as if it were one."""
        return {name: [value] if isinstance(value, str) else value for name, value in instance.items()}

    def answer(self, prediction: float | list[float]) -> str:
        """A prediction as people read it: the likeliest class and its probability."""
        scores = prediction if isinstance(prediction, list) else [1 - prediction, prediction]
        best = max(range(len(scores)), key=lambda index: scores[index])
        return f"{self.classes[best]} {scores[best]:.3f}"


def _review(sentence: str, expected: str) -> Request:
    return Request(f'"{sentence}"', {"text": sentence}, expected)


def _bearing(temperature: float, speed: float, expected: str) -> Request:
    instance = {"feature_a": [temperature], "feature_b": [speed]}
    return Request(f"feature_a {temperature:5.1f} °C, feature_b {speed:6.1f} rpm", instance, expected)


def _picture(shape: str, x: int, y: int, radius: int, brightness: int) -> Request:
    pixels = image.draw(shape, x, y, radius, brightness).tolist()
    return Request(f"{shape} at ({x}, {y}), radius {radius}, brightness {brightness}", {"image": pixels}, shape)


EXAMPLES = (
    Example(
        name=text.NAME,
        question="is the review positive?",
        classes=("negative", "positive"),
        mistake="tokenisation was left to a client that does not do it",
        requests=(
            _review("The acting was superb and the music was great!", "positive"),
            _review("The service was terrible, the food was very bland.", "negative"),
            _review("The room was not bad, the view was lovely.", "positive"),
            _review("The plot was not great...", "negative"),
            _review("The camera was decent but the battery was horrible!", "negative"),
            _review("The story was rather pleasant", "positive"),
        ),
    ),
    Example(
        name=tabular.NAME,
        question="will the bearing fail soon?",
        classes=("sound", "failing"),
        mistake="it joins feature_b, feature_a; the network was trained on feature_a, feature_b",
        requests=(
            _bearing(72.5, 3000.0, "failing"),
            _bearing(55.0, 2400.0, "sound"),
            _bearing(85.0, 2900.0, "failing"),
            _bearing(66.0, 3100.0, "sound"),
            _bearing(62.0, 4200.0, "failing"),
            _bearing(80.0, 1500.0, "sound"),
        ),
    ),
    Example(
        name=image.NAME,
        question="which shape is drawn?",
        classes=image.SHAPES,
        mistake="it gets pixels from 0 to 255; the network was trained on 0 to 1",
        requests=(
            _picture("circle", 13, 13, 7, 210),
            _picture("square", 15, 12, 6, 190),
            _picture("cross", 12, 15, 8, 200),
            _picture("triangle", 14, 14, 8, 180),
            _picture("circle", 16, 12, 5, 160),
            _picture("cross", 14, 13, 6, 140),
        ),
    ),
)


def main() -> None:
    """Prints the body of a predict request with all requests of the example named on the command line."""
    examples = {example.name: example for example in EXAMPLES}
    if len(sys.argv) != 2 or sys.argv[1] not in examples:
        sys.exit(f"usage: python -m examples.requests {{{','.join(examples)}}}")
    print(json.dumps({"instances": [request.instance for request in examples[sys.argv[1]].requests]}))


if __name__ == "__main__":
    main()
