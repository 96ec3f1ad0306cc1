from unstuck.supervisor.status import merged


def answers(distinct_inputs, *, flagged=False):
    return {"flagged": flagged, "distinct_inputs": distinct_inputs}


def available(known=None, unlike=None):
    signatures = {"serving_default": {"merged": True, "answers": known}}
    return {"state": "AVAILABLE", "error": "", "signatures": signatures, "unlike_training": unlike}


def document(versions, *, events=(), name="m", problem="", gate=None):
    models = {name: {"base_path": "/m", "labels": {}, "admission": gate, "problem": problem, "versions": versions}}
    return {"schema": 1, "server": {"name": "unstuck", "pid": 7}, "models": models, "events": list(events)}


def version(*documents):
    return merged(dict(enumerate(documents, 1)), {})["models"]["m"]["versions"]["1"]


def test_the_server_is_the_supervisor():
    server = merged({1: document({}), 2: document({})}, {"pid": 1, "workers": []})["server"]
    assert server == {"name": "unstuck", "pid": 1, "workers": []}


def test_a_version_is_as_it_is_where_it_is_worst():
    failed = {"state": "END", "error": "no memory"}
    assert version(document({"1": available()}), document({"1": failed})) == {
        "state": "END",
        "error": "no memory",
        "states": {"1": "AVAILABLE", "2": "END"},
    }
    loading = {"state": "LOADING", "error": ""}
    assert version(document({"1": loading}), document({"1": available()}))["state"] == "LOADING"
    assert "states" not in version(document({"1": available()}), document({"1": available()}))


def test_answers_that_one_worker_flags_are_flagged_and_else_most_is_told():
    one, other = document({"1": available(answers(500))}), document({"1": available(answers(40, flagged=True))})
    assert version(one, other)["signatures"]["serving_default"]["answers"] == answers(40, flagged=True)
    one, other = document({"1": available(answers(500))}), document({"1": available(answers(40))})
    assert version(other, one)["signatures"]["serving_default"]["answers"] == answers(500)
    assert version(document({"1": available()}))["signatures"]["serving_default"]["answers"] is None


def test_rows_unlike_training_are_added_up():
    one, other = ({"serving_default": {"x": count}} for count in (3, 4))
    both = version(document({"1": available(unlike=one)}), document({"1": available(unlike=other)}))
    assert both["unlike_training"] == {"serving_default": {"x": 7}}
    assert one == {"serving_default": {"x": 3}}


def test_models_and_versions_of_any_worker_are_there():
    both = merged({1: document({"2": available()}, problem="none"), 2: document({"10": available()})}, {})
    assert list(both["models"]["m"]["versions"]) == ["2", "10"]
    assert both["models"]["m"]["problem"] == "none"
    apart = merged({1: document({}), 2: document({}, name="n")}, {})
    assert list(apart["models"]) == ["m", "n"]


def test_events_say_whose_they_are_in_the_order_of_time():
    one, other = document({}, events=[{"time": "2", "what": "b"}]), document({}, events=[{"time": "1", "what": "a"}])
    assert merged({1: one, 2: other}, {})["events"] == [
        {"time": "1", "what": "a", "worker": 2},
        {"time": "2", "what": "b", "worker": 1},
    ]


def gate(limited_by, limit, wait_s, **refused):
    known = {"in_flight": 3, "bytes_in_flight": 10, "limit": limit, "limited_by": limited_by}
    return {**known, "expected_wait_s": wait_s, "refused": {"wait": 0, "memory": 0, **refused}}


def test_what_the_gates_of_all_workers_let_in_and_refused_is_added_up():
    one, other = document({}, gate=gate("requests", 100, 0.1)), document({}, gate=gate("wait", 8, 0.7, wait=5))
    both = merged({1: one, 2: other, 3: document({})}, {})["models"]["m"]["admission"]
    added = {"in_flight": 6, "bytes_in_flight": 20, "limit": 108, "limited_by": "wait"}
    assert both == {**added, "expected_wait_s": 0.7, "refused": {"wait": 5, "memory": 0}}
    assert merged({1: document({})}, {})["models"]["m"]["admission"] is None
