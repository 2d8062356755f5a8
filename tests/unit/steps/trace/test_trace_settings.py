"""What an operator says of traces."""

import pytest

from encserve_server.steps.trace.settings import trace_settings

COLLECTOR = {"ENCSERVE_OTLP": "http://localhost:4318/"}


def test_without_a_collector_nothing_is_traced():
    assert trace_settings({}) is None
    assert trace_settings({"ENCSERVE_OTLP": "", "ENCSERVE_TRACE_SHARE": "1"}) is None


def test_one_in_a_hundred_is_what_it_is_where_nobody_says():
    settings = trace_settings(COLLECTOR)
    assert settings.collector == "http://localhost:4318"
    assert settings.share == 0.01
    assert not settings.request_ids
    assert settings.headers == {}
    assert settings.resource == {"service.name": "encserve"}


def test_the_variables_of_opentelemetry_are_read():
    settings = trace_settings(
        {
            **COLLECTOR,
            "OTEL_SERVICE_NAME": "search",
            "OTEL_RESOURCE_ATTRIBUTES": "host.name=one, zone=a%2Cb",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%3Db,",
        }
    )
    assert settings.resource == {"service.name": "search", "host.name": "one", "zone": "a,b"}
    assert settings.headers == {"x-key": "a=b"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ENCSERVE_OTLP", "localhost:4318"),
        ("ENCSERVE_OTLP", "http://user@host:4318"),
        ("ENCSERVE_OTLP", "http://host:4318/v1/traces"),
        ("ENCSERVE_TRACE_SHARE", "1.5"),
        ("ENCSERVE_TRACE_SHARE", "nan"),
        ("ENCSERVE_TRACE_SHARE", "one"),
        ("ENCSERVE_TRACE_REQUEST_IDS", "yes"),
        ("OTEL_RESOURCE_ATTRIBUTES", "novalue"),
    ],
)
def test_what_cannot_be_is_refused_by_name(variable, value):
    with pytest.raises(ValueError, match=f"{variable} is") as refused:
        trace_settings({**COLLECTOR, variable: value})
    assert value in str(refused.value)


@pytest.mark.parametrize(
    "headers", ["sesame", "x-key=sesame%0D%0Aa: b", "x-key=sesame%00", "x key=sesame", "a=%E2%82%ACsesame"]
)
def test_a_key_for_the_collector_is_in_no_error(headers):
    with pytest.raises(ValueError, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        trace_settings({**COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": headers})
    assert "sesame" not in str(refused.value)
