"""A real ZooKeeper on its own."""
from __future__ import absolute_import

import os

import pytest

from kiel import testing
from kiel.testing import processes


@pytest.fixture(scope="module")
def server():
    with testing.ZooKeeper() as server:
        yield server


def test_data_survive_a_kill(server):
    with server.client() as client:
        client.create("/kept", b"value")
    server.kill()
    assert not server.running and server.pid is None and server.ask("ruok") is None
    server.start()
    with server.client() as client:
        assert client.get("/kept")[0] == b"value"


def test_paused_server_is_mute(server):
    server.pause()
    assert server.running and server.ask("ruok", timeout=0.5) is None
    server.resume()
    assert processes.wait_until(lambda: server.ask("ruok") == "imok", 5)


def test_expired_session_loses_its_ephemeral_nodes(server):
    with server.client() as client, server.client() as witness:
        client.create("/ephemeral", ephemeral=True)
        old = client.client_id[0]
        states = []
        client.add_listener(lambda state: states.append(state))
        server.expire(client)
        assert not witness.exists("/ephemeral")
        assert processes.wait_until(lambda: "LOST" in states and client.connected, 10)
        assert client.client_id[0] != old


def test_stop_leaves_nothing():
    server = testing.ZooKeeper().start()
    directory, pid = server.directory, server.pid
    server.stop()
    assert not os.path.exists(directory)
    with pytest.raises(OSError):
        os.kill(pid, 0)
