from unstuck.monitor.families import Family, Sample
from unstuck.supervisor.messages import families_as_json, families_from_json
from unstuck.supervisor.metrics import counts_in, merged, of_workers


def family(name, kind, *samples):
    return Family(name, kind, f"What {name} says.", [Sample(*each) for each in samples])


def values(families):
    return {
        (each.name + sample.suffix, *sorted(sample.labels.values())): sample.value
        for each in families
        for sample in each.samples
    }


def test_counters_and_histograms_are_added_up_cell_by_cell():
    one = [
        family("calls_total", "counter", ("", {"model": "a"}, 3), ("", {"model": "b"}, 1)),
        family("seconds", "histogram", ("_bucket", {"le": "1"}, 2), ("_sum", {}, 0.5), ("_count", {}, 2)),
    ]
    other = [
        family("calls_total", "counter", ("", {"model": "a"}, 4)),
        family("seconds", "histogram", ("_bucket", {"le": "1"}, 1), ("_sum", {}, 0.25), ("_count", {}, 5)),
    ]
    both = merged([*one, *other])
    assert [each.name for each in both] == ["calls_total", "seconds"]
    assert values(both) == {
        ("calls_total", "a"): 7,
        ("calls_total", "b"): 1,
        ("seconds_bucket", "1"): 3,
        ("seconds_sum",): 0.75,
        ("seconds_count",): 7,
    }


def test_of_gauges_the_largest_counts_but_calls_in_flight_are_added_up():
    one = [family("unstuck_version_state", "gauge", ("", {"state": "AVAILABLE"}, 1))]
    flight = [family("unstuck_requests_in_flight", "gauge", ("", {"api": "rest"}, 2))]
    both = values(merged([*one, *flight, *one, *flight]))
    assert both == {("unstuck_version_state", "AVAILABLE"): 1, ("unstuck_requests_in_flight", "rest"): 4}


def test_what_is_one_process_s_own_stays_apart():
    memory = [
        family("process_resident_memory_bytes", "gauge", ("", {"worker": str(number)}, number)) for number in (1, 2)
    ]
    assert values(merged(memory)) == {
        ("process_resident_memory_bytes", "1"): 1,
        ("process_resident_memory_bytes", "2"): 2,
    }


def test_of_a_process_that_is_gone_its_counts_stay_and_its_gauges_do_not():
    gone = [
        family("calls_total", "counter", ("", {"model": "a"}, 3)),
        family("process_cpu_seconds_total", "counter", ("", {"worker": "1"}, 9)),
        family("unstuck_requests_in_flight", "gauge", ("", {"api": "rest"}, 2)),
    ]
    assert values(counts_in(gone)) == {("calls_total", "a"): 3}
    assert values(merged([*counts_in(gone), *gone[:1]])) == {("calls_total", "a"): 6}


def test_families_survive_the_way_through_json():
    families = [family("seconds", "histogram", ("_bucket", {"le": "+Inf"}, 2), ("_sum", {}, float("inf")))]
    assert families_from_json(families_as_json(families)) == families


def test_the_workers_themselves():
    assert values(of_workers([(1, 0, True), (2, 3, False)])) == {
        ("unstuck_worker_up", "1"): 1,
        ("unstuck_worker_up", "2"): 0,
        ("unstuck_worker_restarts_total", "1"): 0,
        ("unstuck_worker_restarts_total", "2"): 3,
    }
