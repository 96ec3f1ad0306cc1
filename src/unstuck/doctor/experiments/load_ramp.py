"""More and more calls at the same time, for at most five seconds: where do they begin to fail, or to wait?"""

from unstuck.doctor.endpoint import Answer
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.probes import LoadLevel, LoadRamp
from unstuck.doctor.experiments.endpoint_answers import rows_for_probes
from unstuck.doctor.experiments.parallel import latencies, loadable, storm
from unstuck.doctor.experiments.sending import code_of, failures
from unstuck.doctor.lab import Lab

THREADS = (1, 8, 16, 32)
LEVEL_S = 0.8
TIMEOUT_S = 5.0
ENOUGH_FAILURES = 0.5


def run(lab: Lab) -> LoadRamp:
    """Raises NotRun where there is no endpoint, it does not answer, or must not be called by many at once."""
    endpoint = loadable(lab)
    rows = rows_for_probes(lab, 16)[1]
    if not rows:
        raise NotRun("there is nothing to send")

    def ask(item: int) -> Answer:
        return endpoint.predict(lab.signature, rows[item], TIMEOUT_S)

    levels: list[LoadLevel] = []
    for threads in THREADS:
        told = storm(ask, len(rows), threads, max(6, 2 * threads), LEVEL_S)
        median_s, p99_s = latencies(told.answers)
        level = LoadLevel(
            threads=threads,
            calls=len(told.answers),
            failed=failures([code_of(answer) for _, answer in told.answers]),
            per_second=len(told.answers) / max(told.seconds, 1e-6),
            median_s=median_s,
            p99_s=p99_s,
        )
        levels.append(level)
        if (level.calls and level.failures > ENOUGH_FAILURES * level.calls) or lab.seconds_left() < TIMEOUT_S:
            break
    return LoadRamp(levels=levels)
