from dataclasses import replace

import pytest

from encserve_server.errors import UnsupportedHost
from encserve_server.host.platform import Host, check_host, read_host

GOOD = Host(
    system="Linux",
    machine="x86_64",
    glibc=(2, 36),
    python=(3, 11),
    libpython="/usr/lib/libpython3.11.so.1.0",
    numpy="1.26.4",
)


@pytest.mark.parametrize("change", [{}, {"python": (3, 12)}, {"glibc": (2, 35)}, {"libpython": "libpython3.11.so.1.0"}])
def test_a_good_host_is_accepted(change):
    check_host(replace(GOOD, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"system": "Darwin", "machine": "arm64"}, r"Triton runs on Linux, this is Darwin.*Linux x86-64 host"),
        ({"machine": "aarch64"}, r"for x86_64, this machine is aarch64.*Linux x86-64 host"),
        ({"glibc": (2, 31)}, r"needs glibc 2\.35 or newer .* this host has glibc 2\.31.*Linux x86-64 host"),
        ({"glibc": None}, r"this host has another C library"),
        ({"python": (3, 10)}, r"needs Python 3\.11 or 3\.12, this is Python 3\.10"),
        ({"python": (3, 14)}, r"this is Python 3\.14"),
        ({"libpython": None}, r"libpython3\.11\.so\.1\.0.*apt-get install libpython3\.11"),
        ({"python": (3, 12), "libpython": None}, r"apt-get install libpython3\.12"),
        ({"numpy": "2.1.0"}, r"empty tensors with numpy 2, and here numpy is 2\.1\.0.*numpy>=1\.26,<2"),
        ({"numpy": None}, r"numpy is None"),
    ],
)
def test_a_host_that_cannot_run_the_wheel_is_refused(change, message):
    with pytest.raises(UnsupportedHost, match=message):
        check_host(replace(GOOD, **change))


def test_this_host_can_be_described():
    host = read_host()
    assert host.system
    assert host.python >= (3, 10)
