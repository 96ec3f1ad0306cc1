"""Whether the server prepares the numbers that it is sent, as the local model alone does not."""

from unstuck.doctor.evidence.base import Evidence

NEAR = 0.25  # of the gap to the answers as sent, that the gap to those once prepared may be at most
MATTERS, CLOSE, ENOUGH = 0.05, 0.1, 10  # of the answers' range; the same; rows
ALIKE = 0.9  # rank correlation with the answers once prepared


class ServerPreparation(Evidence):
    """The endpoint's answers against the local model's, to the requests as they are and once they are prepared.

    Attributes:
        pipeline: of the version that answers, as the server's ``/statusz`` says; empty for none.
        inputs: those that are on another scale than training; what is done to each of them in words.
        rows: how many were compared; 0 where there is no local model.
        as_sent, prepared: how far the endpoint's answers are from the model's to the requests as they are, and once
            ``inputs`` are put on training's scale; the median over rows, of the answers' range.
        correlation: of the endpoint's answers with those to the prepared requests, by rank.
    """

    pipeline: str = ""
    inputs: dict[str, str] = {}
    rows: int = 0
    as_sent: float = 0.0
    prepared: float = 0.0
    correlation: float = 0.0

    @property
    def prepares(self) -> bool:
        """Whether clients are right to send what the model alone does not take."""
        is_other = self.as_sent >= MATTERS
        is_near = self.prepared <= min(CLOSE, NEAR * self.as_sent) and self.correlation >= ALIKE
        return bool(self.pipeline) or (self.rows >= ENOUGH and is_other and is_near)

    @property
    def why(self) -> str:
        """How that is known, in words."""
        if self.pipeline:
            return f"The server says that it prepares requests by a pipeline, {self.pipeline}."
        listed = ", ".join(f"{alias} {what}" for alias, what in self.inputs.items())
        return (
            f"The endpoint answers as the model does once the requests are prepared ({listed}): its answers are "
            f"{self.prepared:.2g} of their range from those, and {self.as_sent:.2g} from those to the requests as sent."
        )
