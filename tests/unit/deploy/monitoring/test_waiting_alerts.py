"""Work that waits and answers that come late raise the alerts that they should."""

import pytest
from raised_alerts import check_alerts, series


def test_what_waits_at_the_door_for_a_candidate_is_compared_with_its_requests(tmp_path):
    waits = busy(at_the_door=19_000, in_encode=0)
    for each in waits:
        each["series"] = each["series"].replace('model="minilm"', 'model="minilm_candidate"')
    few_of_the_active = series("nv_inference_request_duration_us", 1_000_000, model="minilm")
    check_alerts(tmp_path, [*waits, few_of_the_active], {})


@pytest.mark.parametrize(("in_time", "alerts"), [(940, {"SlowFirstTokens": ["t5"]}), (960, {})], ids=["slow", "few"])
def test_first_tokens_that_come_late_are_seen(tmp_path, in_time, alerts):
    up_to = {"0.5": 500, "1.0": in_time, "1.5": in_time, "2.0": 1_000, "+Inf": 1_000}
    labels = {"model": "t5_generate", "lane": "interactive"}
    name = "encserve_generate_first_token_seconds_bucket"
    check_alerts(tmp_path, [series(name, count, le=le, **labels) for le, count in up_to.items()], alerts)


@pytest.mark.parametrize(("waiting", "alerts"), [(41, {"TextsWait": ["t5"]}), (39, {})], ids=["many", "few"])
def test_texts_that_wait_for_a_whole_text_to_end_are_seen(tmp_path, waiting, alerts):
    gauges = [
        steady("encserve_generate_waiting_texts", waiting, model="t5_generate", lane="interactive"),
        steady("encserve_generate_waiting_texts", 10**6, model="t5_generate", lane="bulk"),
        steady("encserve_generate_active_rows", 30, model="t5_generate", lane="interactive"),
        steady("encserve_generate_active_rows", 10, model="t5_generate", lane="bulk"),
    ]
    check_alerts(tmp_path, gauges, alerts)


def steady(name, value, **labels):
    """A gauge that stays for twenty minutes."""
    return {**series(name, 0, **labels), "values": f"{value}x20"}


@pytest.mark.parametrize(
    ("tokens", "alerts"), [(900, {}), (2_000, {"WorkWaits": ["minilm"]})], ids=["little work", "two seconds of work"]
)
def test_slow_answers_are_seen_by_the_work_that_waits(tmp_path, tokens, alerts):
    work = [
        steady("encserve_waiting_tokens", tokens, model="minilm_tokenize", lane="interactive"),
        steady("encserve_waiting_tokens", 200, model="minilm_encode", lane="interactive"),
        steady("encserve_waiting_tokens", 10**6, model="minilm_encode", lane="bulk"),
        steady("encserve_tokens_per_second", 0, model="minilm_tokenize", lane="interactive"),
        steady("encserve_tokens_per_second", 1_100, model="minilm_encode", lane="interactive"),
    ]
    check_alerts(tmp_path, work, alerts)


@pytest.mark.parametrize("step", ["generate", "cascade"])
def test_work_that_waits_in_a_pipeline_of_one_step_is_its_own(step, tmp_path):
    """Not that of whoever else has such a step, by whose rate it would be divided."""
    work = [
        steady("encserve_waiting_tokens", 2_000, model=f"topics_{step}", lane="interactive"),
        steady("encserve_tokens_per_second", 1_000, model=f"topics_{step}", lane="interactive"),
        steady("encserve_waiting_tokens", 10, model="t5_generate", lane="interactive"),
        steady("encserve_tokens_per_second", 10**6, model="t5_generate", lane="interactive"),
    ]
    check_alerts(tmp_path, work, {"WorkWaits": ["topics"]})


def test_work_that_waited_for_a_moment_is_no_reason_to_add_a_replica(tmp_path):
    """A pipeline that computes now and then tells its rate at those moments alone."""
    waiting = steady("encserve_waiting_tokens", 2_000, model="minilm_tokenize", lane="interactive")
    rate = series("encserve_tokens_per_second", 0, model="minilm_encode", lane="interactive")
    check_alerts(tmp_path, [waiting, {**rate, "values": "0x18 1000x1"}], {})


@pytest.mark.parametrize(
    ("lane", "in_time", "alerts"),
    [
        ("interactive", 980, {"SlowAnswers": ["minilm"]}),
        ("interactive", 995, {}),
        ("bulk", 980, {}),
    ],
    ids=["slow", "few", "in bulk"],
)
def test_slow_answers_are_seen_by_how_long_they_took(tmp_path, lane, in_time, alerts):
    """Of a thousand a minute so many within a second, and all within two."""
    up_to = {"0.5": 500, "1.0": in_time, "2.0": 1_000, "+Inf": 1_000}
    labels = {"model": "minilm_head", "pipeline": "minilm", "version": "1", "lane": lane}
    answers = [
        series("encserve_request_duration_seconds_bucket", count, le=le, **labels) for le, count in up_to.items()
    ]
    check_alerts(tmp_path, answers, alerts)


def busy(*, at_the_door, in_encode):
    """Microseconds in a minute that requests waited in our own steps, each of a thousand computed for 10 ms; Triton saw
    no waiting."""
    waiting, computing = "queue_duration_us", "compute_infer_duration_us"
    whole = 1_000 * (10_000 + at_the_door + in_encode)
    return [
        series(f"encserve_{waiting}", 1_000 * at_the_door, model="minilm_tokenize"),
        series(f"encserve_{computing}", 1_000 * 100, model="minilm_tokenize"),
        series(f"encserve_{waiting}", 1_000 * in_encode, model="minilm_encode"),
        series(f"encserve_{computing}", 1_000 * 10_000, model="minilm_encode"),
        series("nv_inference_request_duration_us", whole, model="minilm"),
        *(series(f"nv_inference_{waiting}", 100, model=f"minilm_{step}") for step in ("tokenize", "encode")),
        *(series(f"nv_inference_{computing}", 1_000, model=f"minilm_{step}") for step in ("tokenize", "encode")),
    ]


@pytest.mark.parametrize(
    ("counters", "alerts"),
    [
        (busy(at_the_door=1_000, in_encode=5_000), {}),
        (busy(at_the_door=19_000, in_encode=0), {}),  # many times as long as it is tokenized
        (busy(at_the_door=25_000, in_encode=0), {"Queueing": ["minilm"]}),
        (busy(at_the_door=0, in_encode=25_000), {"Queueing": ["minilm_encode"]}),
        (
            [
                series("nv_inference_queue_duration_us", 30_000, model="minilm_encode"),
                series("nv_inference_compute_infer_duration_us", 10_000, model="minilm_encode"),
            ],
            {"Queueing": ["minilm_encode"]},
        ),
    ],
    ids=["little", "some", "at the door", "in the encode step", "in Triton"],
)
def test_waiting_is_seen_wherever_it_is(tmp_path, counters, alerts):
    check_alerts(tmp_path, counters, alerts)
