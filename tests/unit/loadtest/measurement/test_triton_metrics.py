"""What two scrapes of Triton's metrics say of its steps."""

from encserve_loadtest.measurement.served import ServedStep
from encserve_loadtest.measurement.triton_metrics import StepTimes, parse_counters, times_between

METRICS = """# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{{model="m_encode",version="1"}} 5
nv_inference_request_success{{model="m_encode",version="2"}} {requests}
nv_inference_exec_count{{model="m_encode",version="2"}} {batches}
nv_inference_queue_duration_us{{model="m_encode",version="2"}} {queue_us}
nv_inference_compute_input_duration_us{{model="m_encode",version="2"}} 0
nv_inference_compute_infer_duration_us{{model="m_encode",version="2"}} {compute_us}
nv_inference_compute_output_duration_us{{model="m_encode",version="2"}} 0
nv_inference_request_success{{model="m_head",version="2"}} 9
encserve_nonfinite_texts{{model="m_encode",version="2"}} 0
"""


def test_two_scrapes_make_the_times_of_a_step():
    before = parse_counters(METRICS.format(requests=100, batches=80, queue_us=1_000, compute_us=5_000))
    after = parse_counters(METRICS.format(requests=300, batches=180, queue_us=2_001_000, compute_us=4_005_000))
    steps = [
        ServedStep(name=name, model=f"m_{name}", instances=2, max_batch_size=8, queue_delay_us=0)
        for name in ("encode", "head")
    ]
    times = times_between(before, after, steps, elapsed_s=4)
    assert list(times) == ["encode"]  # head answered nothing
    assert times["encode"] == StepTimes(requests=200, batches=100, queue_s=0.01, compute_s=0.02, busy_share=0.25)
    assert times["encode"].batch_size == 2


def test_what_a_step_counts_after_its_execute_is_added():
    late = """
encserve_queue_duration_us{model="m_encode",version="2"} 1000000
encserve_compute_infer_duration_us{model="m_encode",version="2"} 3000000
encserve_batches{model="m_encode",version="2"} 20
"""
    after = parse_counters(METRICS.format(requests=100, batches=50, queue_us=1_000_000, compute_us=1_000_000) + late)
    step = ServedStep(name="encode", model="m_encode", instances=1, max_batch_size=8, queue_delay_us=0)
    before = parse_counters(METRICS.format(requests=0, batches=0, queue_us=0, compute_us=0))
    (times,) = times_between(before, after, [step], elapsed_s=4).values()
    assert times == StepTimes(requests=100, batches=20, queue_s=0.02, compute_s=0.04, busy_share=0.2)


def test_texts_that_were_not_computed_are_counted():
    counts = """
encserve_encoded_texts{{model="m_encode",version="2"}} {0}
encserve_repeated_texts{{model="m_encode",version="2"}} {1}
"""
    scrapes = [
        parse_counters(
            METRICS.format(requests=each, batches=each, queue_us=0, compute_us=0) + counts.format(each, part)
        )
        for each, part in ((100, 90), (300, 130))
    ]
    step = ServedStep(name="encode", model="m_encode", instances=1, max_batch_size=8, queue_delay_us=0)
    (times,) = times_between(*scrapes, [step], elapsed_s=4).values()
    assert (times.texts, times.repeated_texts) == (200, 40)
