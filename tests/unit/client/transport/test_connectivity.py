"""Whether a channel is connected: asked once however many requests are refused."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from encserve._transport.connectivity import FRESH_S, Connectivity

READY, IDLE = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.IDLE


class Channel:
    """Tells its state as `grpc` does."""

    def __init__(self):
        self.state = READY
        self.asked = 0

    def subscribe(self, tell):
        self.asked += 1
        threading.Thread(target=tell, args=(self.state,)).start()

    def unsubscribe(self, tell):
        pass


@pytest.fixture
def channel():
    return Channel()


def test_many_who_ask_at_a_time_ask_once(channel):
    connectivity = Connectivity(channel, clock=lambda: 0.0)
    with ThreadPoolExecutor(32) as threads:
        assert all(threads.map(lambda _: connectivity.is_ready(), range(200)))
    assert channel.asked == 1


def test_it_is_asked_again_after_a_moment(channel):
    now_s = 0.0
    connectivity = Connectivity(channel, clock=lambda: now_s)
    assert connectivity.is_ready()
    channel.state = IDLE
    assert connectivity.is_ready()
    now_s = FRESH_S
    assert not connectivity.is_ready()
