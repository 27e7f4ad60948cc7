"""/metrics: what it counts is exact over workers, and stays so when they die, reload or are asked all the while."""
import collections
import os
import re
import signal
import threading

import pytest

from browser import Browser, raw
from exposition import Metrics, scrape
from stack import Stack
from wait import eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
ASKED = 60  # connections of their own, so that both workers have some


@pytest.fixture(scope="module")
def bare():
    with Stack(edge=None, workers=2) as s:
        yield s


def read(stack):
    return scrape(stack.ports["metrics"])


def workers(stack):
    return [int(line.split("worker=")[1].split()[0]) for line in stack.log("bffd").splitlines()
            if "event=worker_ready" in line]


def serving(stack, generation):
    eventually(lambda: read(stack)["bff_config_generation"] == generation and
               read(stack)["bff_workers"] == stack.workers, what="generation %d alone" % generation)


def verified(metrics):
    return metrics["bff_verify_requests_total"]


# ---- what is counted ---------------------------------------------------------------------------

def test_requests_by_route_and_outcome_are_exact_over_workers(bare):
    b = bare.login("alice")
    before = read(bare)
    for _ in range(ASKED):
        assert bare.verify("/private/", b).status == 200
        assert bare.verify("/api/crm/x").status == 401
    assert bare.verify("/read/x", b, method="PUT").status == 403
    assert bare.verify("/", None).status == 200
    assert bare.verify("/private/", b, method="POST").status == 403  # without the CSRF token
    got = read(bare)

    def new(name, **labels):
        return got[name, labels] - before[name, labels]

    assert new("bff_verify_requests_total", route="demo-private", outcome="allowed") == ASKED
    assert new("bff_verify_requests_total", route="demo-crm", outcome="login") == ASKED
    assert new("bff_verify_requests_total", route="-", outcome="forbidden") == 1
    assert new("bff_verify_requests_total", route="demo-page", outcome="allowed") == 1
    assert new("bff_verify_requests_total", route="demo-private", outcome="csrf") == 1
    assert new("bff_verify_requests_total") == new("bff_verify_duration_seconds_count") == 2 * ASKED + 3
    assert new("bff_denials_total", reason="no_cookie") == ASKED
    assert new("bff_denials_total", reason="method") == 1
    assert new("bff_denials_total", reason="csrf") == 1
    assert new("bff_denials_total") == ASKED + 2
    assert new("bff_http_requests_total", endpoint="verify", code="2xx") == ASKED + 1
    assert new("bff_http_requests_total", endpoint="metrics", code="2xx") == 1
    assert new("bff_connections_accepted_total", listen="verify") == 2 * ASKED + 3
    assert got["bff_requests_in_flight"] == 1  # this scrape, which asks the broker
    assert got["bff_up"] == got["bff_broker_up"] == 1
    assert got["bff_build_info"] == 1 and 'version="' in got.text


def test_gauges_come_and_go(bare):
    eventually(lambda: read(bare)["bff_ipc_connections"] == 2 and read(bare)["bff_database_connections"] == 4 and
               read(bare)["bff_database_connections_wanted"] == 4, what="workers connected")
    got = read(bare)
    assert got["bff_broker_peers"] == 2
    assert got["bff_broker_keys", {"state": "primary"}] == 1
    assert got["bff_workers"] == 2
    eventually(lambda: read(bare)["bff_connections", {"listen": "verify"}] == 0, what="connections closed")
    assert got["bff_connections", {"listen": "metrics"}] >= 1


def test_the_brokers_counts(bare):
    before = read(bare)
    b = bare.login("bob")
    assert bare.verify("/api/crm/x", b).status == 200
    assert bare.verify("/api/crm/x", b).status == 200
    got = read(bare)

    def new(name, **labels):
        return got[name, labels] - before[name, labels]

    of = {"provider": "idp", "outcome": "ok"}
    assert new("bff_broker_token_replies_total", request="code", **of) == 1
    assert new("bff_broker_token_replies_total", request="refresh", **of) == 1
    assert new("bff_broker_idp_requests_total", provider="idp", request="refresh", outcome="2xx") == 1
    assert new("bff_broker_idp_request_duration_seconds_count", provider="idp") >= 2
    assert new("bff_broker_requests_total", message="login_finish", answer="ok") == 1
    assert new("bff_broker_token_requests_total", **{"from": "provider"}) == 1
    assert new("bff_ipc_calls_total", message="login_begin", answer="ok") == 1
    assert new("bff_broker_lease_held_seconds_total") > 0


def test_a_refresh_that_fails_has_its_outcome_and_the_breaker_shows(bare):
    b = bare.login("alice")
    before = read(bare)
    bare.idp.down()
    try:
        assert bare.verify("/api/orders/x", b).status == 503
        got = read(bare)
        refused = {"provider": "idp", "request": "refresh", "outcome": "not_sent"}
        for name in ("bff_broker_token_replies_total", "bff_broker_idp_requests_total"):
            assert got[name, refused] == before[name, refused] + 1
        assert got["bff_broker_provider_held_off", {"provider": "idp"}] == 1
        assert got["bff_verify_requests_total", {"outcome": "unavailable"}] == \
            before["bff_verify_requests_total", {"outcome": "unavailable"}] + 1
        assert got["bff_denials_total", {"reason": "provider_down"}] == \
            before["bff_denials_total", {"reason": "provider_down"}] + 1
    finally:
        bare.idp.up()
    eventually(lambda: bare.verify("/api/orders/x", b).status == 200, what="the provider's return")
    assert read(bare)["bff_broker_provider_held_off", {"provider": "idp"}] == 0


def test_what_comes_from_memory_is_told_from_what_is_read(bare):
    b = bare.login("alice")
    for _ in range(ASKED):  # until both workers have it
        assert bare.verify("/private/", b).status == 200
    before = read(bare)
    for _ in range(ASKED):
        assert bare.verify("/private/", b).status == 200
    eventually(lambda: read(bare)["bff_session_cache_hits_total"] + read(bare)["bff_session_cache_misses_total"] >=
               before["bff_session_cache_hits_total"] + before["bff_session_cache_misses_total"] + ASKED,
               what="both workers' samples")
    assert read(bare)["bff_session_cache_hits_total"] > before["bff_session_cache_hits_total"]
    got = read(bare)
    waited = {what: got["bff_verify_duration_seconds_count", {"waited_for": what}] -
              before["bff_verify_duration_seconds_count", {"waited_for": what}]
              for what in ("nothing", "database", "broker")}
    assert waited["nothing"] > 0 and waited["broker"] == 0 and sum(waited.values()) == ASKED
    assert got["bff_session_cache_entries"] >= 1 and got["bff_session_cache_bytes"] > 0
    assert got["bff_lease_held_seconds_total"] > 0


def test_a_revocations_lag_is_bounded(bare):
    b = bare.login("alice")
    assert bare.verify("/api/crm/x", b).status == 200
    ref = bare.verify("/private/", b).header("X-Session-ID")
    names = ("bff_broker_revocation_lag_seconds", "bff_revocation_lag_seconds")
    before = {name: read(bare)[name + "_count"] for name in names}
    bare.pg.psql("select bff.revoke_session('%s', 'test')" % ref)
    assert bare.verify("/api/crm/x", b).status == 401
    for name in names:
        eventually(lambda: read(bare)[name + "_count"] > before[name], what="the notification")  # noqa: B023
        got = read(bare)
        assert got[name + "_sum"] <= 2 * got[name + "_count"]


# ---- what it must not say ----------------------------------------------------------------------

def test_nothing_of_a_request_or_a_secret_is_in_it(bare):
    b = bare.login("alice")
    marks = ["mark%d" % i for i in range(5)]
    bare.verify("/api/crm/%s?%s" % (marks[0], marks[1]), b, headers=[("Referer", "http://%s/" % marks[2])])
    bare.verify("/" + marks[3], b, host=marks[4] + ".localhost", method="BREW")
    ref = bare.verify("/private/", b).header("X-Session-ID")
    text = read(bare).text
    for word in [*marks, ref, "alice", "BREW", "127.0.0.1", "localhost", bare.directory, *bare.canaries,
                 *bare.idp.canaries()]:
        assert word not in text, word
    assert not re.search(r"eyJ|Bearer|postgres", text)


# ---- traceparent --------------------------------------------------------------------------------

def denied_line(site, headers):
    """What the log says of a request that was denied: asked until it says it, for who denies many says little of each
    (log_peer), and other tests here had many denied."""
    def line():
        got = site.verify("/api/crm/x", headers=headers)
        assert got.status == 401
        return next((said for said in site.log("bffd").splitlines()
                     if "event=denied" in said and " id=" + got.header("X-Correlation-ID") in said), None)
    return eventually(line, what="a line of the denial")


def test_a_trace_goes_on_to_the_provider_and_into_the_logs(bare):
    b = bare.login("alice")
    had = len(bare.idp.stats()["traces"])
    sent = [("Traceparent", "00-%s-%s-01" % (TRACE, SPAN))]
    assert bare.verify("/api/crm/x", b, headers=sent).status == 200
    traces = [t.split() for t in bare.idp.stats()["traces"][had:]]
    assert [path for path, _ in traces] == ["/token"]
    got = re.fullmatch(r"00-%s-([0-9a-f]{16})-01" % TRACE, traces[0][1])
    assert got and got[1] not in (SPAN, "0" * 16)
    assert denied_line(bare, sent).endswith("trace_id=" + TRACE)
    assert "trace_id" not in denied_line(bare, [("Traceparent", "00-%s-%s-01" % ("0" * 32, SPAN))])


class Traced(Browser):
    """Whose edge adds a traceparent to what it asks of `site`."""

    def __init__(self, site):
        super().__init__()
        self.site = site

    def request(self, method, url, headers=None, body=None, foreign_post=False):
        trace = {"Traceparent": "00-%s-%s-01" % (TRACE, SPAN)} if url.startswith(self.site) else {}
        return super().request(method, url, {**(headers or {}), **trace}, body, foreign_post)


def test_a_trace_goes_with_all_of_a_login(bare):
    had = len(bare.idp.stats()["traces"])
    bare.login("bob", b=Traced(bare.url("/")))
    traces = [t.split() for t in bare.idp.stats()["traces"][had:]]
    assert [path for path, _ in traces] == ["/request", "/token"]  # what is pushed, and the code
    spans = {re.fullmatch(r"00-%s-([0-9a-f]{16})-01" % TRACE, trace)[1] for _, trace in traces}
    assert len(spans) == len(traces) and SPAN not in spans
    finished = [line for line in bare.log("bffd").splitlines() if "event=login_finished" in line][-1]
    assert finished.endswith("trace_id=" + TRACE)
    bare.login("bob")
    assert len(bare.idp.stats()["traces"]) == had + len(traces)  # nobody else's go along


# ---- what happens to workers --------------------------------------------------------------------

def test_a_killed_worker_leaves_its_counts_and_its_successor_goes_on(bare):
    b = bare.login("alice")
    for _ in range(ASKED):
        assert bare.verify("/private/", b).status == 200
    before = read(bare)
    restarts = len(workers(bare))
    os.kill(workers(bare)[-1], signal.SIGKILL)
    eventually(lambda: len(workers(bare)) == restarts + 1, what="a successor")
    got = read(bare)
    assert verified(got) == verified(before)
    assert got["bff_worker_exits_total", {"how": "signal"}] == before["bff_worker_exits_total", {"how": "signal"}] + 1
    assert got["bff_workers"] == 2
    for _ in range(ASKED):
        assert bare.verify("/private/", b).status == 200
    assert verified(read(bare)) == verified(before) + ASKED


def test_a_reload_keeps_the_counts(bare):
    b = bare.login("alice")
    for _ in range(ASKED):
        assert bare.verify("/private/", b).status == 200
    before = read(bare)
    generation = before["bff_config_generation"]
    bare.extra = '\nroute "added" { app = "demo" path = "/added/" session = none csrf = off }\n'
    bare.write_config()
    bare.bffd.send(signal.SIGHUP)
    serving(bare, generation + 1)
    got = read(bare)
    assert verified(got) == verified(before)
    assert got["bff_config_reloads_total", {"result": "ok"}] == before["bff_config_reloads_total", {"result": "ok"}] + 1
    assert got["bff_config_last_reload_successful"] == 1
    assert got["bff_start_time_seconds"] == before["bff_start_time_seconds"]
    assert got["bff_config_last_reload_success_timestamp_seconds"] >= got["bff_start_time_seconds"]
    for _ in range(ASKED):
        assert bare.verify("/private/", b).status == 200
        assert bare.verify("/added/").status == 200
    got = read(bare)
    assert got["bff_verify_requests_total", {"route": "added", "outcome": "allowed"}] == ASKED
    assert verified(got) == verified(before) + 2 * ASKED


def test_a_reload_that_fails_is_said(bare):
    with open(bare.config, "a", encoding="utf-8") as f:
        f.write("nonsense = 1\n")
    before = read(bare)
    bare.bffd.send(signal.SIGHUP)
    eventually(lambda: read(bare)["bff_config_reloads_total", {"result": "failed"}] ==
               before["bff_config_reloads_total", {"result": "failed"}] + 1, what="the failure")
    got = read(bare)
    assert got["bff_config_last_reload_successful"] == 0
    assert got["bff_config_generation"] == before["bff_config_generation"]
    bare.write_config()


# ---- under load ----------------------------------------------------------------------------------

def test_a_scrape_under_load_is_consistent_and_never_goes_back(bare):
    b = bare.login("alice")
    ending, done, wrong = threading.Event(), collections.Counter(), []

    def ask():
        while not ending.is_set():
            status = bare.verify("/private/", b).status
            done[status] += 1
            if status != 200:
                wrong.append(status)

    first = read(bare)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for t in threads:
        t.start()
    last = first
    try:
        for _ in range(40):
            got = read(bare)  # every histogram's sums agree, or it raises
            for (name, labels), value in last.samples.items():
                family = re.sub("_(bucket|sum|count)$", "", name)
                if last.types.get(name, last.types.get(family)) != "gauge":
                    assert got.samples[name, labels] >= value, name
            last = got
    finally:
        ending.set()
        for t in threads:
            t.join()
    assert not wrong
    got = read(bare)
    assert verified(got) - verified(first) == done[200]
    assert got["bff_verify_duration_seconds_count"] - first["bff_verify_duration_seconds_count"] == done[200]


# ---- without the others --------------------------------------------------------------------------

def test_without_the_broker_the_rest_is_told(bare):
    bare.stop_broker()
    got = read(bare)
    assert got["bff_broker_up"] == 0
    assert not [name for name in got.types if name.startswith("bff_broker_") and name != "bff_broker_up"]
    assert verified(got) > 0
    bare.start_broker()
    eventually(lambda: read(bare)["bff_broker_up"] == 1, what="the broker")


def test_only_get_and_head_and_only_there(bare):
    assert raw(bare.ports["metrics"], "POST", "/metrics", [("Host", "x")]).status == 405
    head = raw(bare.ports["metrics"], "HEAD", "/metrics", [("Host", "x")])
    assert head.status == 200 and not head.body
    assert raw(bare.ports["public"], "GET", "/metrics", [("Host", "app.localhost:%d" % bare.port)]).status == 404
    assert raw(bare.ports["verify"], "GET", "/metrics", [("Host", "x")]).status == 404


# ---- the reader itself ---------------------------------------------------------------------------

@pytest.mark.parametrize("text", [
    "a_total 1\n", "# HELP a_total x\n# TYPE a_total counter\na_total 1", "# HELP a x\n# TYPE a counter\na 1\n",
    "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c\"d} 1\n",
    "# HELP a_total x\n# TYPE a_total counter\na_total 1\na_total 1\n",
    "# HELP a_total x\n# TYPE a_total counter\na_total -1\n",
    "# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
    "# HELP a x\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2\n"])
def test_what_is_malformed_is_not_read(text):
    with pytest.raises(ValueError):
        Metrics(text)
