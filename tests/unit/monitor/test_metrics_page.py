"""MetricsPage: both formats, read back by Prometheus's own parsers."""

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from unstuck.monitor.families import Family, Sample
from unstuck.monitor.instruments import Counter, Histogram, Reading, Scale
from unstuck.monitor.page import MetricsPage, process_families
from unstuck.supervisor.metrics import merged

ODD = 'a "quoted" \\ back\nslash é'


class Source:
    def __init__(self, *families):
        self._families = families

    def families(self):
        return self._families


def render(*sources, accept=""):
    page, content_type = MetricsPage(sources).render(accept)
    return page.decode(), content_type


def test_what_labels_hold_comes_back_as_it_was():
    page, _ = render(Source(Family("x_total", "counter", "Help\nof \\ two lines.", [Sample("", {"name": ODD}, 2)])))
    (family,) = [each for each in parser.text_string_to_metric_families(page) if each.name == "x"]
    (sample,) = family.samples
    assert (sample.name, sample.labels, sample.value) == ("x_total", {"name": ODD}, 2)
    assert family.documentation == "Help\nof \\ two lines."


@pytest.mark.parametrize("kind", ["counter", "gauge", "histogram", "summary"])
@pytest.mark.parametrize("name", ["ours_total", ":theirs:count", "level"])
def test_names_and_kinds_come_out_as_given(kind, name):
    suffix = "_sum" if kind in ("histogram", "summary") else ""
    page, content_type = render(Source(Family(name, kind, "", [Sample(suffix, {}, 1)])))
    assert content_type.startswith("text/plain; version=0.0.4")
    assert f"# TYPE {name} {kind}\n" in page
    assert f"\n{name}{suffix} 1.0\n" in page


def test_openmetrics_where_it_is_asked_for():
    counter, gauge = Counter("x_total", "X.", ["a"]), Reading("y", "gauge", "Y.", ["b"], lambda: {("c",): 1.5})
    histogram = Histogram("z_seconds", "Z.", ["a"], Scale([0.1, 1], unit=1e9))
    theirs = Counter(":their:count", "T.", ["a"])
    counter.add(("v",), 3)
    histogram.observe(("v",), 5 * 10**8)
    theirs.add(("v",))
    page, content_type = render(
        counter, gauge, histogram, theirs, accept="application/openmetrics-text; version=1.0.0,text/plain;q=0.5"
    )
    assert content_type.startswith("application/openmetrics-text")
    families = {each.name: each for each in openmetrics.text_string_to_metric_families(page)}
    assert families["x"].samples[0].value == 3
    assert families["y"].samples[0].value == 1.5
    assert families["z_seconds"].type == "histogram"
    assert families[":their:count"].type == "unknown", "a counter without _total is none there"
    buckets = {float(each.labels["le"]): each.value for each in families["z_seconds"].samples if "le" in each.labels}
    assert buckets == {0.1: 0, 1: 1, float("inf"): 1}


def test_the_process_is_on_the_page():
    page, _ = render()
    families = {each.name: each for each in parser.text_string_to_metric_families(page)}
    assert families["process_resident_memory_bytes"].samples[0].value > 1 << 20
    assert families["process_cpu_seconds"].samples[0].value > 0
    assert families["process_open_fds"].samples[0].value > 0
    assert families["python_gc_collections"].samples


def test_two_pages_do_not_disturb_each_other():
    assert render()[0].count("# TYPE process_resident_memory_bytes ") == 1
    assert render()[0].count("# TYPE process_resident_memory_bytes ") == 1


def test_what_a_process_uses_has_its_label_and_comes_back_on_a_page_of_several():
    families = [each for number in "12" for each in process_families({"worker": number})]
    page = MetricsPage([Source(*merged(families))], has_process=False).render("")[0].decode()
    found = {each.name: each for each in parser.text_string_to_metric_families(page)}
    memory = found["process_resident_memory_bytes"]
    assert (memory.type, {sample.labels["worker"] for sample in memory.samples}) == ("gauge", {"1", "2"})
    assert (found["process_cpu_seconds"].type, len(found["process_cpu_seconds"].samples)) == ("counter", 2)
    assert "python_info" in found
