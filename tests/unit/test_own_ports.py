"""The ports of tests of real servers."""

import socket
from itertools import combinations

import own_ports
import pytest


def test_processes_of_a_run_have_ports_of_their_own():
    shares = [own_ports.share_of(worker) for worker in ("", *(f"gw{number}" for number in range(7)))]
    assert not any({*one} & {*other} for one, other in combinations(shares, 2))
    assert all(share.start >= 1_024 and share.stop <= 32_768 for share in shares)


def test_more_processes_than_have_ports_are_told_so():
    with pytest.raises(ValueError, match="8 processes would have the ports of each other: at most 7"):
        own_ports.share_of("gw0", processes=8)


def test_a_process_that_replaces_another_has_ports():
    """pytest-xdist gives it the next number, however many there were before."""
    shares = [own_ports.share_of(f"gw{number}", processes=7) for number in (6, 7, 13)]
    assert shares[1] == own_ports.share_of("gw0")
    assert shares[2] == shares[0]
    assert own_ports.share_of("") not in shares


@pytest.mark.parametrize("before_the_end", [1_000, 4])
def test_none_is_given_twice_or_to_who_finds_it_taken(before_the_end, monkeypatch):
    """Nor where the next are the first of the share again."""
    share = list(own_ports._share)
    monkeypatch.setattr(own_ports, "_place", len(share) - before_the_end)
    first = own_ports.own_ports(3)
    place = share.index(first[-1]) + 1
    with socket.socket() as taken:
        for port in share[place:] + share[:place]:
            try:
                taken.bind(("127.0.0.1", port))
            except OSError:
                continue
            break
        taken.listen()
        following = own_ports.own_ports(5)
    assert len({*first, *following}) == 8
    assert port not in following
