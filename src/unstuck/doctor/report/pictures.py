"""The pictures of what the experiments measured; each is empty where its evidence does not exist."""

import math
from collections import Counter
from collections.abc import Iterator

from unstuck.doctor.evidence.answers import EndpointAnswers
from unstuck.doctor.evidence.base import Found
from unstuck.doctor.evidence.feature_map import EndpointSensitivity, FeatureEffects, Sensitivity
from unstuck.doctor.evidence.feature_profile import ColumnProfile, FeatureProfile
from unstuck.doctor.evidence.probes import ConcurrencyProbe
from unstuck.doctor.evidence.replay import Comparison, EndpointReplay, GoldenAtEndpoint, GoldenReplay
from unstuck.doctor.evidence.server_state import ServerState
from unstuck.page import svg

_SQUARE, _A_ROW = 15, 46
_MOST_SQUARES = 6 * _A_ROW
_MOST_FEATURES = 24
_COLOURS = 7
_SIDE = 210
Row = tuple[str, float, str, str]


def answers(of: EndpointAnswers) -> str:
    """A square a request; equal colours are equal answers."""
    asked = of.requests[:_MOST_SQUARES]
    if not asked:
        return ""
    often = [digest for digest, _ in Counter(each.digest for each in asked if each.code == "OK").most_common()]
    same = bool(of.outputs) and all(each.distinct == 1 for each in of.outputs)  # but for noise in the last digits
    parts: list[str] = []
    for number, each in enumerate(asked):
        x, y = 4 + (number % _A_ROW) * (_SQUARE + 1.3), 4 + (number // _A_ROW) * (_SQUARE + 1.3)
        failed = each.code != "OK"
        kind = "failed" if failed else f"answer-{0 if same else often.index(each.digest) % _COLOURS}"
        hint = f"request {each.line or number + 1}: {each.code if failed else f'answer {each.digest}'}"
        parts.append(svg.rect(x, y, _SQUARE, _SQUARE, kind, hint=hint))
        if failed:
            parts.append(svg.cross(x + _SQUARE / 2, y + _SQUARE / 2, 4))
    told = f"{len(asked)} requests got {1 if same else len(often)} different answers; {of.asked - of.answered} failed."
    height = 10 + (1 + (len(asked) - 1) // _A_ROW) * (_SQUARE + 1.3)
    return svg.picture("answers", height, "The answers to the requests, in their order", told, parts)


def comparisons(found: Found) -> str:
    """For each comparison with known answers, the shares that were right, unclear and wrong."""
    rows = _compared(found)
    parts: list[str] = []
    left, room = 220.0, 330.0
    for at, (title, each) in enumerate(rows):
        y = 4 + 24 * at
        parts.append(svg.text(left - 10, y + 13, title, anchor="end"))
        unclear = each.rows - each.right - each.wrong
        x = left
        shares = {"right": (each.right, "good"), "unclear": (unclear, "track"), "wrong": (each.wrong, "bad")}
        for what, (amount, kind) in shares.items():
            parts.append(svg.rect(x, y + 2, room * amount / each.rows, 14, kind, hint=f"{amount} {what}"))
            x += room * amount / each.rows
        said = f"{each.right} right, {each.wrong} wrong of {each.rows}"
        parts.append(svg.text(left + room + 10, y + 13, said, "small"))
    if not rows:
        return ""
    told = "; ".join(f"{title}: {each.wrong} of {each.rows} wrong" for title, each in rows)
    return svg.picture("comparisons", 10 + 24 * len(rows), "Answers against those known right", told, parts)


def _compared(found: Found) -> list[tuple[str, Comparison]]:
    kinds: tuple[tuple[type[Comparison], str], ...] = (
        (EndpointReplay, "TARGET against --model"),
        (GoldenReplay, "--model against --golden"),
        (GoldenAtEndpoint, "TARGET against --golden"),
    )
    return [(title, each) for kind, title in kinds if isinstance(each := found.get(kind), Comparison) and each.rows]


def scatters(found: Found) -> str:
    """For each comparison a dot a row: across what is right, up what came; right ones are on the diagonal."""
    drawn: list[tuple[str, list[tuple[float, float]]]] = []
    for title, each in _compared(found):
        finite = [pair for pair in each.pairs if all(map(math.isfinite, pair))]
        if len(finite) > 1:
            drawn.append((title, finite))
    if not drawn:
        return ""
    parts = [part for at, (title, pairs) in enumerate(drawn) for part in _scatter(20 + at * 248, title, pairs)]
    told = "; ".join(f"{title}: {len(pairs)} rows" for title, pairs in drawn)
    return svg.picture("scatters", _SIDE + 54, "Each answer against the one known right", told, parts)


def _scatter(left: float, title: str, pairs: list[tuple[float, float]]) -> Iterator[str]:
    values = [value for pair in pairs for value in pair]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    yield svg.text(left, 14, title, "strong")
    yield svg.rect(left, 24, _SIDE, _SIDE, "track")
    yield svg.path(f"M{left:.1f} {24 + _SIDE}L{left + _SIDE:.1f} 24", "diagonal")
    for right, came in pairs:
        x, y = left + _SIDE * (right - low) / span, 24 + _SIDE * (1 - (came - low) / span)
        kind = "bad" if abs(right - came) > 0.01 * span else "good"
        yield svg.dot(x, y, kind, hint=f"right {right:.4g}, came {came:.4g}")
    yield svg.text(left, 24 + _SIDE + 18, f"from {low:.4g} to {high:.4g}", "small")


def apart(of: FeatureProfile) -> str:
    """A bar a feature: how far the requests' values are from training's."""
    columns = sorted(of.columns, key=lambda each: -each.apart)[:_MOST_FEATURES]
    if not columns:
        return ""
    height, parts = svg.bars([_apart(each) for each in columns])
    told = f"Farthest apart is {columns[0].feature}, by {columns[0].apart:.2f} of 1."
    return svg.picture("apart", height, "Requests against training data, by feature", told, parts)


def _apart(column: ColumnProfile) -> Row:
    behind = f"always {column.constant}" if column.constant is not None else f"{column.apart:.2f} apart"
    kind = "bad" if column.apart > 0.9 else "unsure" if column.apart > 0.5 else "good"
    return column.feature, column.apart, kind, behind


def effects(found: Found) -> str:
    """For each feature, how often moving it moves the answer: of the model, and of the endpoint."""
    named: list[tuple[str, FeatureEffects]] = [
        (title, each)
        for kind, title in ((Sensitivity, "model"), (EndpointSensitivity, "TARGET"))
        if isinstance(each := found.get(kind), FeatureEffects) and each.features
    ]
    if not named:
        return ""
    rows = list(_effects(named))
    height, parts = svg.bars(rows)
    silent = [f"{each.feature} ({title})" for title, of in named for each in of.silent]
    told = f"Never moves the answer: {', '.join(silent)}." if silent else "Every feature moves the answer."
    return svg.picture("effects", height, "Which features move the answer", told, parts)


def _effects(named: list[tuple[str, FeatureEffects]]) -> Iterator[Row]:
    for first in named[0][1].features[:_MOST_FEATURES]:
        for title, of in named:
            each = of.named(first.feature)
            if each is not None and each.trials:
                kind = "good" if each.moved else "bad"
                yield (
                    f"{each.feature} ({title})",
                    each.moved / each.trials,
                    kind,
                    f"{each.moved} of {each.trials} times",
                )


def concurrency(of: ConcurrencyProbe) -> str:
    """The shares of calls that went wrong or failed, by the number of calls at a time."""
    rows: list[Row] = []
    for each in of.rounds:
        bad = each.wrong + each.failures
        said = f"{each.wrong} wrong, {each.failures} failed of {each.calls}"
        rows.append((f"{each.threads} calls at a time", bad / each.calls if each.calls else 0.0, "bad", said))
    if not any(row[1] for row in rows):
        return ""
    height, parts = svg.bars(rows)
    return svg.picture("concurrency", height, "Calls that went wrong at the same time", rows[-1][3], parts)


def memory(of: ServerState) -> str:
    """What the model needs, what was used at most, and what is allowed."""
    group = of.cgroup
    if group is None or group.memory_limit is None:
        return ""
    sizes = {"the model's files": of.model_bytes, "most that was used": group.memory_peak or 0}
    sizes |= {"the limit": group.memory_limit}
    largest = max(sizes.values())
    rows = [
        (
            name,
            size / largest,
            "bad" if size > 0.95 * group.memory_limit and name != "the limit" else "good",
            _size(size),
        )
        for name, size in sizes.items()
        if size
    ]
    height, parts = svg.bars(rows)
    return svg.picture("memory", height, "Memory", f"{group.oom_kills} processes were killed for it.", parts)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):,.1f} MiB"
