"""Fixtures: see tests/lib."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))

import edge as edges  # noqa: E402
from broker import CALLBACK, CLIENT_SECRET, ORIGIN  # noqa: E402
from idp import Idp, client  # noqa: E402
from postgres import Postgres  # noqa: E402
from stack import App, Stack  # noqa: E402


@pytest.fixture(scope="module")
def pg():
    """A PostgreSQL for the brokers of a file."""
    with Postgres() as cluster:
        cluster.migrate()
        yield cluster


@pytest.fixture(scope="module")
def idp():
    """The provider of these brokers, as tests/lib/broker.py configures them."""
    with Idp([client("bff", CLIENT_SECRET, [CALLBACK], [ORIGIN + "/"])]) as provider:
        yield provider


@pytest.fixture
def worker(broker):
    """A connection to the file's `broker`, as a worker has one."""
    with broker.worker() as w:
        yield w


@pytest.fixture(scope="module")
def stack():
    """One app behind nginx; shared by the tests of a file, so each makes its own login."""
    with Stack() as s:
        yield s


@pytest.fixture(scope="module", params=edges.KINDS)
def edge_stack(request):
    """One app behind each edge in turn; Traefik is skipped where neither it nor a recent Go is to be had, Envoy where
    PyPI has none for this machine."""
    why = edges.missing(request.param)
    assert not why or request.param in edges.FETCHED, why  # make test-deps installs the others
    if why:
        pytest.skip(why.splitlines()[0])
    with Stack(edge=request.param) as s:
        yield s


@pytest.fixture(scope="module")
def hosts_stack():
    """Two apps on three hosts: `shop` on two sub-domains with one login, `other` apart."""
    with Stack(apps=[
            App("shop", ["a.shop.localhost", "b.shop.localhost"], cookie_domain="shop.localhost",
                login_host="a.shop.localhost"),
            App("other", ["other.localhost"])]) as s:
        yield s
