"""The ports of tests of real servers."""

import socket
from itertools import combinations

import own_ports


def test_processes_of_a_run_have_ports_of_their_own():
    shares = [own_ports.share_of(worker) for worker in ("", *(f"gw{number}" for number in range(7)))]
    assert not any({*one} & {*other} for one, other in combinations(shares, 2))
    assert all(share.start >= 1_024 and share.stop <= 32_768 for share in shares)


def test_none_is_given_twice_or_to_who_finds_it_taken():
    first = own_ports.own_ports(3)
    with socket.socket() as taken:
        for port in range(first[-1] + 1, own_ports._share.stop):
            try:
                taken.bind(("127.0.0.1", port))
            except OSError:
                continue
            break
        taken.listen()
        following = own_ports.own_ports(5)
    assert len({*first, *following}) == 8
    assert port not in following
