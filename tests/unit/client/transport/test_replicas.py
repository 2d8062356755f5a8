"""Several servers behind one client: even shares, none lost with a server that dies, and a new one is found."""

import asyncio
import socket
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import grpc
import pytest
from tritonclient.grpc import service_pb2_grpc

from encserve import AsyncClient, Client, InvalidInput, Retry
from encserve._transport.addresses import read_addresses
from encserve._transport.replicas import Replica, Replicas

from .playing_triton import Triton


class Servers:
    """gRPC servers that play Triton, each at a port of its own from the beginning on."""

    def __init__(self, count):
        self.sockets = [socket.socket() for _ in range(count)]
        for each in self.sockets:
            each.bind(("127.0.0.1", 0))
        self.ports = [each.getsockname()[1] for each in self.sockets]
        self.players = [Triton() for _ in range(count)]
        self._running = [None] * count
        for each in self.sockets:
            each.close()

    @property
    def addresses(self):
        return [f"127.0.0.1:{port}" for port in self.ports]

    def start(self, number):
        server = grpc.server(ThreadPoolExecutor(8))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self.players[number], server)
        assert server.add_insecure_port(self.addresses[number])
        server.start()
        self._running[number] = server

    def kill(self, number):
        self._running[number].stop(None).wait()
        self._running[number] = None

    def close(self):
        for number, running in enumerate(self._running):
            if running:
                self.kill(number)


@pytest.fixture
def servers():
    started = Servers(3)
    yield started
    started.close()


def shares(servers):
    return [len(player.requests) for player in servers.players]


def test_requests_go_to_each_in_its_turn(servers):
    for number in range(3):
        servers.start(number)
    with Client(servers.addresses) as client:
        for _ in range(30):
            client.embed(["a"], model="fake")
    assert sum(shares(servers)) == 30
    assert max(shares(servers)) - min(shares(servers)) <= 2  # what is asked of the pipeline has its turn, too


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_requests_go_to_all_that_a_name_stands_for_in_their_turn(servers, kind, monkeypatch):
    """Only the look-up of the name is replaced: gRPC is told what it would find."""
    for number in range(3):
        servers.start(number)
    found = f"ipv4:{','.join(servers.addresses)}"
    library = grpc if kind == "threads" else grpc.aio
    channel = library.insecure_channel
    opened = []

    def open_channel(address, options):
        opened.append(address)
        return channel(found, options=options)

    monkeypatch.setattr(library, "insecure_channel", open_channel)

    async def tasks():
        async with AsyncClient("dns:///triton.example.org:8001", coalesce=False) as client:
            while not counted(30):
                await client.embed(["a"], model="fake")

    before = []

    def counted(calls):
        """Whether so many calls were made since each server was asked once, which it is not before it is connected."""
        assert sum(shares(servers)) < 10_000, shares(servers)
        if not before and min(shares(servers)):
            before.extend(shares(servers))
        return bool(before) and sum(shares(servers)) >= sum(before) + calls

    if kind == "tasks":
        asyncio.run(tasks())
    else:
        with Client("dns:///triton.example.org:8001") as client:
            while not counted(30):
                client.embed(["a"], model="fake")
    assert opened == ["dns:///triton.example.org:8001"]
    assert [now - then for now, then in zip(shares(servers), before, strict=True)] == [10, 10, 10]


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_no_call_fails_while_one_dies_and_one_comes(servers, kind):
    servers.start(0)
    servers.start(1)
    stop = threading.Event()
    done = []

    def change():
        while len(done) < 50:
            stop.wait(0.001)
        servers.kill(0)
        servers.start(2)
        while len(servers.players[2].requests) < 50 and not stop.wait(0.01):
            pass
        stop.set()

    changing = threading.Thread(target=change)
    settings = {"timeout_s": 60.0, "retry": Retry(initial_s=0.01, maximum_s=0.1)}

    async def tasks():
        async with AsyncClient(servers.addresses, coalesce=False, **settings) as client:

            async def user():
                while not stop.is_set():
                    done.append(len(await client.embed(["a"], model="fake")))

            await asyncio.gather(*(user() for _ in range(8)))

    changing.start()
    try:
        if kind == "tasks":
            asyncio.run(tasks())
        else:
            with Client(",".join(servers.addresses), **settings) as client, ThreadPoolExecutor(8) as pool:

                def user():
                    while not stop.is_set():
                        done.append(len(client.embed(["a"], model="fake")))

                for each in [pool.submit(user) for _ in range(8)]:
                    each.result()
    finally:
        stop.set()
        changing.join()
    assert set(done) == {1}
    assert len(servers.players[2].requests) >= 50


def next_of(replicas):
    """Who is asked, and has answered."""
    with replicas.asking() as replica:
        return replica.address


def test_who_was_down_is_asked_last_for_a_while():
    now_s = 0.0
    replicas = Replicas([Replica(name, None, None, connected=lambda: True) for name in "abc"], clock=lambda: now_s)
    assert [next_of(replicas) for _ in range(4)] == ["a", "b", "c", "a"]
    replicas.was_down(replicas.all[1])
    assert [next_of(replicas) for _ in range(6)] == ["c", "a"] * 3  # who is left shares its work evenly
    now_s = 5.0
    assert {next_of(replicas) for _ in range(6)} == {"a", "b", "c"}
    for each in replicas.all:
        replicas.was_down(each)
    assert {next_of(replicas) for _ in range(6)} == {"a", "b", "c"}


def test_who_owes_answers_is_asked_after_the_others():
    replicas = Replicas([Replica(name, None, None, connected=lambda: True) for name in "abc"])
    with replicas.asking() as silent:
        asked = [next_of(replicas) for _ in range(10)]
    assert silent.address not in asked
    assert next_of(replicas) == silent.address


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_a_replica_that_vanished_costs_one_request_and_no_more(servers, kind):
    """It takes connections, and says nothing: of a hundred calls, one after the other, one waits for it in vain."""
    servers.start(0)
    settings = {"timeout_s": 60.0, "retry": Retry(attempts=1)}

    async def tasks():
        async with AsyncClient(addresses, coalesce=False, **settings) as client:
            in_vain = [asyncio.create_task(client.embed(["a"], model="fake")) for _ in range(2)]
            await asyncio.wait(in_vain, return_when=asyncio.FIRST_COMPLETED)
            for _ in range(100):
                await client.embed(["a"], model="fake")
            assert sum(call.done() for call in in_vain) == 1
            for call in in_vain:
                call.cancel()

    with socket.create_server(("127.0.0.1", 0)) as vanished:
        addresses = [servers.addresses[0], f"127.0.0.1:{vanished.getsockname()[1]}"]
        if kind == "tasks":
            asyncio.run(tasks())
            return
        with ThreadPoolExecutor(2) as pool, Client(addresses, **settings) as client:
            in_vain = [pool.submit(client.embed, ["a"], model="fake") for _ in range(2)]
            wait(in_vain, return_when=FIRST_COMPLETED)
            for _ in range(100):
                client.embed(["a"], model="fake")
            assert sum(call.done() for call in in_vain) == 1


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("localhost:8001", ("localhost:8001",)),
        ("a:1,[::1]:2", ("a:1", "[::1]:2")),
        (["a:1", "b:2"], ("a:1", "b:2")),
        ("dns:///triton.example.org:8001", ("dns:///triton.example.org:8001",)),
    ],
)
def test_addresses(url, addresses):
    assert read_addresses(url) == addresses


@pytest.mark.parametrize("url", [[], "", "a:1,", "dns://a:1", "http://a:1", ["a"], [3], "a:1 b:2"])
def test_what_is_no_address(url):
    with pytest.raises(InvalidInput, match=r'expected "host:port".*dns:///'):
        read_addresses(url)


def test_a_name_that_stands_for_several_is_looked_up(servers):
    servers.start(0)
    with Client(f"dns:///localhost:{servers.ports[0]}") as client:
        assert len(client.embed(["a"], model="fake")) == 1


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_who_was_asked_hears_that_nobody_waits(servers, kind):
    for number in range(2):
        servers.start(number)
        servers.players[number].delay_s = 60.0
    addresses = servers.addresses[:2]

    def wait_for(count):
        while sum(shares(servers)) < count:
            time.sleep(0.001)

    async def tasks():
        async with AsyncClient(addresses, coalesce=False) as client:
            calls = [asyncio.create_task(client.embed(["a"], model="fake")) for _ in range(4)]
            await asyncio.to_thread(wait_for, 4)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    if kind == "tasks":
        asyncio.run(tasks())
    else:
        with ThreadPoolExecutor(4) as pool:
            client = Client(addresses)
            calls = [pool.submit(client.embed, ["a"], model="fake") for _ in range(4)]
            wait_for(4)
            client.close()
            assert all(call.exception() or call.result() for call in calls)
    for player in servers.players[:2]:
        assert {each.parameters["cancel"] for each in player.given_up} == {each.request_id for each in player.requests}
        assert len(player.requests) == 2
