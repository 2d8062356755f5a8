"""Texts that a real Triton generates: whole and in pieces, cancelled, late, by HTTP, from one version to another."""

import argparse
import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress

import pytest
from passages import PASSAGES
from told_metrics import metric

from encserve import AsyncClient, Client, DeadlineExceeded, InvalidInput, Overloaded
from encserve._commands import generate as command
from encserve_export.generation.asked_step import AskedStep
from encserve_export.reference.messages import Asked
from encserve_server import promote, rollback

TEXTS = [*PASSAGES[:12], *(passage[:9] for passage in PASSAGES[:4]), ""]
ENDLESS = {"min_new_tokens": 1_000, "max_new_tokens": 1_000}
"""Of a text that goes on for longer than any test waits."""
LATE = (DeadlineExceeded, Overloaded)
"""What a caller is told whose time does not suffice: as soon as that is seen, or when it is up."""


@pytest.fixture(scope="module")
def expected(generating):
    """What the engine says of each of TEXTS in this process, one after the other."""
    with AskedStep(generating.config.repository / "t5_generate" / "1") as step:
        return step.make([Asked({"text": [text]}) for text in TEXTS], one_by_one=True)


def test_texts_are_those_of_the_engine(connected, expected):
    answer = connected.generate(TEXTS, model="t5")
    assert answer.texts == [made.text for made in expected]
    assert answer.finishes == [made.finish for made in expected]
    assert answer.output_token_counts.tolist() == [len(made.tokens) for made in expected]
    assert answer.token_counts.tolist() == [len(made.source) for made in expected]
    assert {"eos", "length"} == {*answer.finishes}


def test_beams_are_those_of_the_engine_beside_texts_without_them(connected, generating):
    beams = {"num_beams": 3, "length_penalty": 2.0, "early_stopping": "never"}
    sent = beams | {"length_penalty": "2.0"}
    with AskedStep(generating.config.repository / "t5_generate" / "1") as step:
        searched = step.make([Asked({"text": [text]}, sent) for text in TEXTS[:6]])
    likeliest = threading.Thread(target=connected.generate, args=(TEXTS,), kwargs={"model": "t5"})
    likeliest.start()
    answer = connected.generate(TEXTS[:6], model="t5", **beams)
    likeliest.join()
    assert answer.texts == [made.text for made in searched]
    assert answer.output_token_counts.tolist() == [len(made.tokens) for made in searched]


def test_a_stream_with_beams_is_refused(connected):
    stream = connected.generate_stream("a", model="t5", num_beams=3)
    with pytest.raises(InvalidInput, match="option stream is given; num_beams is 3, and a text has no pieces"), stream:
        list(stream)


def test_callers_who_come_while_others_are_answered_get_the_same(generating, expected):
    said = {}

    def ask(number):
        with (
            Client(generating.grpc_url, timeout_s=60) as client,
            client.generate_stream(TEXTS[number], model="t5") as own,
        ):
            said[number] = ["".join(own), own.finish]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(TEXTS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == {number: [made.text, made.finish] for number, made in enumerate(expected)}


def test_pieces_come_before_the_text_has_ended(connected):
    with connected.generate_stream(TEXTS[0], model="t5", max_new_tokens=200, min_new_tokens=200) as stream:
        next(stream)
        assert stream.last.output_token_counts[0] < 200
        pieces = list(stream)
    assert len(pieces) > 3
    assert (stream.finish, stream.last.output_token_counts.tolist()) == ("length", [200])
    assert stream.last.version == "1"


def test_in_an_event_loop(generating, expected):
    async def ask():
        async with AsyncClient(generating.grpc_url, timeout_s=60) as client:
            answers = await asyncio.gather(*(client.generate([text], model="t5") for text in TEXTS))
            async with client.generate_stream(TEXTS[0], model="t5") as stream:
                pieces = [piece async for piece in stream]
        return [answer.texts[0] for answer in answers], "".join(pieces), stream.finish

    texts, streamed, finish = asyncio.run(ask())
    assert texts == [made.text for made in expected]
    assert (streamed, finish) == (expected[0].text, expected[0].finish)


def assert_cancels(server, leave):
    """Texts that `leave` begins and leaves end as cancelled. On a fast machine one may have ended by itself before."""

    def cancelled():
        return metric(server, "encserve_generate_finished", reason="cancelled")

    before = cancelled()
    for _ in range(5):
        leave()
        until_s = time.monotonic() + 3  # the step tells its counts once a second
        while time.monotonic() < until_s:
            if cancelled() > before:
                return
            time.sleep(0.05)
    raise AssertionError("nothing was cancelled")


def test_a_stream_that_is_left_makes_no_more_tokens(generating, connected):
    def leave():
        with connected.generate_stream(TEXTS[0], model="t5", **ENDLESS) as stream:
            next(stream)

    assert_cancels(generating, leave)


def test_a_caller_who_hangs_up_frees_the_place(generating):
    def leave():
        with Client(generating.grpc_url, timeout_s=60) as client:
            next(client.generate_stream(TEXTS[0], model="t5", **ENDLESS))

    assert_cancels(generating, leave)


def test_a_call_that_is_cancelled_is_given_up(generating):
    async def ask():
        async with AsyncClient(generating.grpc_url, timeout_s=60) as client:
            call = asyncio.create_task(client.generate(TEXTS * 2, model="t5", **ENDLESS))
            await asyncio.sleep(0.5)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    assert_cancels(generating, lambda: asyncio.run(ask()))


def test_nothing_is_made_after_the_deadline(generating, connected):
    def late():
        return metric(generating, "encserve_generate_finished", reason="deadline")

    before = late()
    with pytest.raises(LATE, match=r"timeout 0\.3 s"):
        connected.generate(TEXTS, model="t5", timeout_s=0.3, **ENDLESS)
    with (
        suppress(*LATE),
        connected.generate_stream(TEXTS[0], model="t5", timeout_s=0.3, **ENDLESS) as stream,
    ):
        "".join(stream)
    assert stream.finish in ("", "deadline")  # the second where the step said it before the client looked at its clock
    until_s = time.monotonic() + 30
    while late() <= before:  # of texts that were let in
        assert time.monotonic() < until_s
        time.sleep(0.05)


def test_a_seed_gives_the_same_text_again(connected):
    options = {"do_sample": True, "seed": 11, "temperature": 1.5}
    together = connected.generate(TEXTS[:6], model="t5", **options)
    assert connected.generate(TEXTS[:1], model="t5", **options).texts == together.texts[:1]
    assert connected.generate(TEXTS[:6], model="t5", **{**options, "seed": 12}).texts != together.texts


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"max_new_tokens": 2_000}, "max_new_tokens is 2000; it must be a whole number from 1 to 1024"),
        ({"seed": 1}, "option seed is given; it means nothing where do_sample is false"),
        ({"do_sample": True, "top_p": 1.5}, "top_p is '1.5'; it must be a number above 0.0, at most 1.0"),
        ({"truncate": "error"}, "max_length is 64 and truncate is 'error'"),
    ],
)
def test_a_wrong_request_is_refused_by_name(connected, options, complaint):
    text = " ".join(PASSAGES[:3])
    with pytest.raises(InvalidInput, match=complaint):
        connected.generate([text], model="t5", **options)
    with pytest.raises(InvalidInput, match=complaint):
        next(connected.generate_stream(text, model="t5", **options))


def test_many_who_are_refused_at_once_harm_nobody(generating, connected):
    def ask():
        with Client(generating.grpc_url, timeout_s=60) as client:
            for _ in range(100):
                with pytest.raises(InvalidInput):
                    client.generate(["a"], model="t5", seed=1)
                with pytest.raises(InvalidInput):
                    next(client.generate_stream("a", model="t5", seed=1))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert generating.process.is_alive
    assert connected.generate(["a"], model="t5").finishes == ["eos"]


def test_many_streams_that_are_left_side_by_side_are_ended_and_keep_nothing(generating, connected):
    """The last response of each is made right behind its cancellation. What Triton kept of one would keep the server
    from its end."""

    async def ask():
        async with AsyncClient(generating.grpc_url, timeout_s=60, concurrency=8) as client:

            async def leave():
                async with client.generate_stream(TEXTS[0], model="t5", **ENDLESS) as stream:
                    await anext(stream)

            for _ in range(40):
                await asyncio.gather(*(leave() for _ in range(8)))

    asyncio.run(ask())
    with Client(generating.grpc_url, timeout_s=60) as client:
        for _ in range(40):
            with client.generate_stream(TEXTS[0], model="t5", **ENDLESS) as stream:
                next(stream)
    until_s = time.monotonic() + 30
    while metric(generating, "encserve_generate_active_rows"):
        assert time.monotonic() < until_s, "texts whose callers have gone are made"
        time.sleep(0.1)
    assert connected.generate(["a"], model="t5").finishes == ["eos"]


def post(server, path, **body):
    """The answer of Triton's HTTP extension for generation, as text."""
    request = urllib.request.Request(
        f"{server.http_url}/v2/models/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        return response.read().decode()


def test_tritons_own_extension_for_generation(generating, expected):
    whole = json.loads(post(generating, "t5/generate", text=TEXTS[0]))
    assert (whole["text_output"], whole["finish"]) == (expected[0].text, expected[0].finish)
    events = [
        json.loads(line.removeprefix("data: "))
        for line in post(generating, "t5/generate_stream", text=TEXTS[0], stream=True).splitlines()
        if line
    ]
    assert "".join(event["text_output"] for event in events) == expected[0].text
    assert [event["finish"] for event in events][-1] == expected[0].finish
    assert len(events) > 1
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(generating, "t5/generate", text="a", num_return_sequences=4)
    assert "unknown option 'num_return_sequences'" in refused.value.read().decode()


def run(module, server, *words):
    """Run a command as a shell would."""
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return module.run(parser.parse_args([*words, f"--url={server.grpc_url}"]))


def test_the_command(generating, expected, capsys):
    assert run(command, generating, "--model=t5", *TEXTS[:2]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == [made.text for made in expected[:2]]
    assert run(command, generating, "--model=t5", "--stream", TEXTS[0]) == 0
    assert capsys.readouterr().out == expected[0].text + "\n"


def test_another_version_serves_and_what_was_begun_is_ended(generating, connected):
    repository = f"--repository={generating.config.repository}"
    with connected.generate_stream(TEXTS[0], model="t5", min_new_tokens=900, max_new_tokens=900) as stream:
        next(stream)
        assert run(promote, generating, "t5", "2", repository) == 0
        assert (len("".join(stream)) > 0, stream.finish, stream.last.version) == (True, "length", "1")
    assert connected.generate(["a"], model="t5").version == "2"
    with Client(generating.grpc_url, timeout_s=60) as client, client.generate_stream("a", model="t5") as stream:
        assert ("".join(stream), stream.last.version) == (connected.generate(["a"], model="t5").texts[0], "2")
    assert run(rollback, generating, "t5", repository) == 0
    assert connected.generate(["a"], model="t5").version == "1"
