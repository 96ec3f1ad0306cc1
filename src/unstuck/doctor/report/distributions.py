"""The pictures of what requests hold against what training held: numbers, and tokens."""

import math

from unstuck.doctor.evidence.profile import InputComparison, Numbers, PlaceComparison, ProfileComparison
from unstuck.doctor.evidence.vocabulary import VocabularyProbe
from unstuck.page import svg

_MOST = 16
_LEFT, _RIGHT, _HIGH = 190, 160, 46
_ROOM = svg.WIDTH - _LEFT - _RIGHT
_REFERENCES = {
    "training": "training",
    "golden": "golden rows",
    "profile": "training, by its profile",
    "graph": "what the graph expects",
}


def numbers(of: ProfileComparison) -> str:
    """Two bands a feature, on one scale: where training's values lie, and where the requests' do."""
    rows = [(each, place) for each in of.inputs for place in each.places]
    rows.sort(key=lambda row: (not row[1].is_off, -row[1].apart))
    shown = rows[:_MOST]
    if not shown:
        return ""
    parts = [part for at, (each, place) in enumerate(shown) for part in _bands(6 + at * _HIGH, each, place)]
    off = [_name(each, place) for each, place in rows if place.is_off]
    told = f"On another scale: {', '.join(off)}." if off else "The requests are on the scale of the reference."
    height = 10 + len(shown) * _HIGH
    return svg.picture("numbers", height, "Where the numbers of requests lie, and where training's do", told, parts)


def _bands(top: float, of: InputComparison, place: PlaceComparison) -> list[str]:
    ends = [place.requests.minimum, place.requests.maximum, place.reference.minimum, place.reference.maximum]
    ends += [place.reference.mean - place.reference.std, place.reference.mean + place.reference.std]
    finite = [end for end in ends if math.isfinite(end)] or [0.0]
    low, high = min(finite), max(finite)
    reference = _REFERENCES.get(of.reference, of.reference)
    return [
        svg.text(_LEFT - 10, top + 19, _name(of, place), "strong", anchor="end", limit=22),
        *_band(top, place.reference, (low, high), "band-known", reference),
        *_band(top + 18, place.requests, (low, high), "bad" if place.is_off else "unsure", "requests"),
    ]


def _band(top: float, of: Numbers, ends: tuple[float, float], kind: str, whose: str) -> list[str]:
    """Thin from least to most, thick where most values are: a deviation around the mean."""

    def at(value: float) -> float:
        low, high = ends
        share = (value - low) / (high - low) if high > low else 0.5
        return _LEFT + _ROOM * min(max(share, 0.0), 1.0)

    if not all(map(math.isfinite, (of.minimum, of.maximum, of.mean, of.std))):
        return [svg.text(_LEFT, top + 12, "not finite", "small")]
    start, end = at(max(of.mean - of.std, of.minimum)), at(min(of.mean + of.std, of.maximum))
    hint = f"{whose}: {of.minimum:.4g} to {of.maximum:.4g}, mean {of.mean:.4g}, deviation {of.std:.4g}"
    return [
        svg.rect(_LEFT, top + 2, _ROOM, 13, "track"),
        svg.rect(at(of.minimum), top + 7, max(at(of.maximum) - at(of.minimum), 2), 3, kind, hint=hint),
        svg.rect(min(start, end), top + 2, max(abs(end - start), 3), 13, kind, hint=hint),
        svg.text(_LEFT + _ROOM + 8, top + 12, f"{of.minimum:.4g} … {of.maximum:.4g} {_SHORT.get(whose, '')}", "small"),
    ]


_SHORT = {"training": "trained", "golden rows": "golden", "what the graph expects": "graph", "requests": "sent"}


def _name(of: InputComparison, place: PlaceComparison) -> str:
    return of.input if place.name in ("", of.input) else f"{of.input} {place.name}"


def tokens(of: VocabularyProbe) -> str:
    """A bar an input: the share of its tokens that the model does not know."""
    rows: list[tuple[str, float, str, str]] = []
    for each in (each for each in of.inputs if each.tokens):
        rows.append(_unknown(f"{each.input} (requests)", each.unknown))
        rows.extend(_unknown(f"once {first.preparation.name}", first.unknown) for first in each.treatments[:1])
        if each.trained_unknown is not None:
            rows.append(_unknown(f"{each.input} (training)", each.trained_unknown))
    if not rows:
        return ""
    height, parts = svg.bars(rows)
    return svg.picture(
        "tokens", height, "Tokens that the model does not know", "; ".join(f"{r[0]}: {r[3]}" for r in rows), parts
    )


def _unknown(name: str, share: float) -> tuple[str, float, str, str]:
    return name, share, "bad" if share > 0.5 else "unsure" if share > 0.2 else "good", f"{share:.0%} unknown"
