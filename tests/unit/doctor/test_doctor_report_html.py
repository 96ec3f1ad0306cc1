"""The HTML report: one page that needs nothing else, with pictures of what was measured and nothing left unescaped."""

import re
from html.parser import HTMLParser

import pytest
from made_up_reports import ANSWERS, FAULTY, FOUND, HEALTHY, PIPELINE, REST, UNPROVEN, fault, report

from unstuck.doctor.evidence.answers import EndpointAnswers
from unstuck.doctor.evidence.base import Evidence, Found
from unstuck.doctor.evidence.feature_map import EndpointSensitivity, FeatureEffect, Sensitivity
from unstuck.doctor.evidence.feature_profile import ColumnProfile, FeatureProfile
from unstuck.doctor.evidence.probes import ConcurrencyProbe, Mixed
from unstuck.doctor.evidence.profile import InputComparison, Numbers, PlaceComparison, ProfileComparison
from unstuck.doctor.evidence.replay import EndpointReplay
from unstuck.doctor.evidence.samples import ALIVE, tensor, trace
from unstuck.doctor.evidence.server_state import Cgroup, ServerState
from unstuck.doctor.evidence.variation import VariationTrace
from unstuck.doctor.evidence.vocabulary import TokenFacts, VocabularyProbe
from unstuck.doctor.findings import Location, Report
from unstuck.doctor.report import as_html

VOID = {"meta"}
HOSTILE = "<script>alert('&\"')</script>"


class Page(HTMLParser):
    """A page's elements, their text, and whether they are closed as they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(made: Report, found: Found = FOUND) -> Page:
    return Page(as_html(made, found))


def pictures(of: Page) -> set[str]:
    return {str(each["aria-labelledby"]).split("-")[1] for each in of.of("svg")}


@pytest.mark.parametrize("made", [HEALTHY, FAULTY, report(*REST, verdict=UNPROVEN), report()])
def test_it_needs_nothing_else(made: Report) -> None:
    text = as_html(made, FOUND)
    shown = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "embed"} & {tag for tag, _ in shown.tags}
    assert not any({"src", "href", "onclick", "onload", "action"} & set(attributes) for _, attributes in shown.tags)
    assert not re.search(r"url\(|@import", text)
    policies = [each["content"] for each in shown.of("meta") if "http-equiv" in each]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_the_verdict_and_everything_of_it() -> None:
    shown = page(FAULTY).text
    for said in (
        "✗ Dead activation",
        "model/dead-activation",
        "Variation dies at layer 'relu'.",
        "Retrain from relu on.",
    ):
        assert said in shown
    assert "almost certain (0.95)" in shown
    assert "no TARGET was given" in shown
    assert "More can be tested with --model" in shown


def test_a_healthy_one() -> None:
    shown = page(HEALTHY).text
    assert "✓ No fault was found" in shown
    assert "3 of 6 known causes were tested." in shown
    assert "Variation dies here" not in shown


def test_a_pipeline_is_kept_as_it_is() -> None:
    shown = page(report(fault(fix=f"This pipeline does it:\n{PIPELINE}")))
    assert PIPELINE.rstrip("\n") in shown.texts


EVERYWHERE: Found = {
    **FOUND,
    Sensitivity: Sensitivity(
        source="x",
        rows=1,
        features=[FeatureEffect(feature=HOSTILE, input=HOSTILE, is_input=True, trials=1, moved=0, effect=0)],
    ),
    FeatureProfile: FeatureProfile(
        requests=1, training=1, distinct=1, columns=[ColumnProfile(feature=HOSTILE, input=HOSTILE, constant=HOSTILE)]
    ),
    VariationTrace: trace(tensor("x", "Placeholder"), tensor(HOSTILE, HOSTILE, "x")),
    VocabularyProbe: VocabularyProbe(
        signature=HOSTILE,
        inputs=[TokenFacts(input=HOSTILE, dtype="string", shape=[], known_by="table", tokens=3, unknown=1.0)],
    ),
}


def test_names_of_others_are_escaped_everywhere() -> None:
    place = Location(input=HOSTILE, feature=HOSTILE, node=HOSTILE, layer=HOSTILE)
    named = {"location": place, "why": HOSTILE, "fix": f"{HOSTILE}\n{HOSTILE}", "evidence": {HOSTILE: [HOSTILE]}}
    hostile = report(
        fault(**named), fault("mapping/wrong-version", status="suspect", **named),
        *(each.model_copy(update={"why": f"{HOSTILE}{each.why}"}) for each in REST),
        target=HOSTILE, model=HOSTILE, signature=HOSTILE,
    )  # fmt: skip
    shown = page(hostile, EVERYWHERE)
    assert not shown.of("script")
    assert shown.text.count(HOSTILE) > 20


def test_each_picture_only_where_its_evidence_is() -> None:
    assert pictures(page(FAULTY, {})) == {"path"}
    assert pictures(page(FAULTY, dict.fromkeys((EndpointAnswers, VariationTrace), "no TARGET was given"))) == {"path"}
    assert pictures(page(FAULTY)) == {"path", "answers", "layers"}
    assert pictures(page(FAULTY, EVERYWHERE)) == {"path", "answers", "layers", "effects", "apart", "tokens"}


def test_every_picture_is_told_to_who_cannot_see_it() -> None:
    shown = page(FAULTY, EVERYWHERE)
    ids = [attributes["id"] for tag, attributes in shown.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for each in shown.of("svg"):
        assert each["role"] == "img"
        assert set(str(each["aria-labelledby"]).split()) <= set(ids)
    assert "Variation ends at" in shown.text or "lets variation through" in shown.text


def test_the_path_marks_where_variation_dies() -> None:
    assert "Variation dies here" in page(FAULTY).text
    varied = ANSWERS.model_copy(update={"outputs": [ANSWERS.outputs[0].model_copy(update={"distinct": 3})]})
    assert "It goes wrong here" in page(FAULTY, {EndpointAnswers: varied}).text
    strands = [str(each["class"]) for each in page(FAULTY).of("path") if "strand" in str(each["class"])]
    assert strands == ["strand"] * 12 + ["strand dead"]  # three lines a gap, then the one after the model


def test_of_an_unknown_cause_only_the_end_is_marked() -> None:
    kinds = [str(each["class"]) for each in page(report(*REST, verdict=UNPROVEN)).of("path")]
    assert [kind for kind in kinds if "strand" in kind] == ["strand"] * 12 + ["strand dead"]


def test_the_layers_mark_the_one_where_variation_dies() -> None:
    shown = page(FAULTY)
    rows = shown.texts
    assert "✕ dies here (Relu)" in rows
    assert "100 % (MatMul)" in rows
    assert "input x" in rows
    assert "kernel" not in rows  # it carries nothing of the inputs
    alive = page(HEALTHY, {VariationTrace: ALIVE}).text
    assert "dies here" not in alive
    swapped = report(fault("mapping/swapped-features", location=Location(node="dense")))
    assert "✕ goes wrong here (MatMul)" in page(swapped, {VariationTrace: ALIVE}).texts
    assert "lets variation through" in alive


def test_a_check_inside_a_layer_that_is_always_false_is_no_death() -> None:
    ids = tensor("x", "Placeholder")
    negative = tensor("less", "Less", "x", alive=False, layer="embedding")
    rows = tensor("gather", "GatherV2", "x", "less", layer="embedding")
    answer = tensor("answer", "MatMul", "gather")
    shown = page(HEALTHY, {VariationTrace: trace(ids, negative, rows, answer)})
    assert "100 % (GatherV2)" in shown.texts
    assert "the same for" not in shown.text


def test_a_graph_of_many_layers_is_cut_around_the_death() -> None:
    chain = [tensor("x", "Placeholder"), *(tensor(f"a{n}", "Relu", f"a{n - 1}" if n else "x") for n in range(60))]
    chain += [tensor(f"b{n}", "Relu", f"b{n - 1}" if n else "a59", alive=False) for n in range(60)]
    texts = page(HEALTHY, {VariationTrace: trace(*chain)}).texts
    assert {"input x", "a59", "b0", "answer y", "… 38 more", "… 45 more"} <= set(texts)
    assert "b40" not in texts
    assert sum(each == "the same for 24 rows" for each in texts) < 20


def test_equal_answers_have_equal_colours() -> None:
    kinds = [str(each["class"]) for each in page(HEALTHY).of("rect")]
    assert kinds.count("answer-0") == 3
    assert kinds.count("failed") == 1


def numbers(low: float, high: float) -> Numbers:
    return Numbers(mean=(low + high) / 2, std=(high - low) / 4, minimum=low, maximum=high)


@pytest.mark.parametrize(
    ("evidence", "says"),
    [
        (EndpointReplay(source="requests", rows=10, wrong=7, right=2), "2 right, 7 wrong of 10"),
        (EndpointReplay(source="requests", rows=2, wrong=1, pairs=[(0.25, 0.5), (1.0, 0.5)]), "right 0.25, came 0.5"),
        (
            EndpointSensitivity(
                source="requests", rows=2,
                features=[FeatureEffect(feature="age", input="x", is_input=False, trials=9, moved=0, effect=0.0)],
            ),
            "0 of 9 times",
        ),
        (
            ConcurrencyProbe(
                requests=4, alone_calls=4, alone_failed=0, alone_median_s=0.1,
                rounds=[Mixed(threads=8, calls=32, wrong=5)],
            ),
            "5 wrong, 0 failed of 32",
        ),
        (
            ServerState(cgroup=Cgroup(version=2, memory_limit=64 << 20, memory_peak=64 << 20), model_bytes=100 << 20),
            "100.0 MiB",
        ),
        (
            ProfileComparison(
                signature="s",
                inputs=[
                    InputComparison(
                        input="image", dtype="float32", shape=[2], reference="training", rows=9,
                        reference_rows=9, apart=1.0,
                        places=[
                            PlaceComparison(
                                name="", requests=numbers(0, 255), reference=numbers(0, 1), apart=1.0, outside=0.9
                            )
                        ],
                    )
                ],
            ),
            "On another scale: image.",
        ),
        (
            VocabularyProbe(
                signature="s",
                inputs=[TokenFacts(input="text", dtype="string", shape=[], known_by="table", tokens=3, unknown=0.75)],
            ),
            "75% unknown",
        ),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_a_picture_says(evidence: Evidence, says: str) -> None:
    assert says in page(FAULTY, {type(evidence): evidence}).text


def test_numbers_that_are_not_finite_are_drawn() -> None:
    broken = Numbers(mean=float("nan"), std=float("inf"), minimum=float("-inf"), maximum=float("nan"))
    place = PlaceComparison(name="", requests=broken, reference=broken, apart=float("nan"), outside=0.0)
    compared = InputComparison(
        input="x", dtype="f", shape=[], reference="graph", rows=1, reference_rows=1, places=[place], apart=0.0
    )
    text = as_html(HEALTHY, {ProfileComparison: ProfileComparison(signature="s", inputs=[compared])})
    Page(text)
    assert "not finite" in text
    assert not re.search(r'(x|y|width|height|d)="[^"]*(nan|inf)', text)
