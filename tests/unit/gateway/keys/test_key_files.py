"""Files of keys: what is malformed, and how one that changes is read again."""

import re

import pytest

from encserve import InvalidInput
from encserve_gateway.faults import Fault
from encserve_gateway.keys import EVERYBODY, Keys, read_keys

from .alice import SECRET, hashed, request


def test_the_end_of_a_key(alice):
    file = alice(expires="2027-01-01T00:00:00+00:00")
    assert Keys(file, now=lambda: 1798761599.0).admit(request(x_api_key=SECRET)).name == "alice"
    with pytest.raises(Fault, match="has expired"):
        Keys(file, now=lambda: 1798761600.0).admit(request(x_api_key=SECRET))


def test_a_file_that_changes_is_read_again(alice, write, clock, caplog):
    keys = Keys(alice(), clock=clock)
    write({"name": "bob", "sha256": hashed("bob's")})
    clock.now_s += 0.5
    assert keys.admit(request(x_api_key=SECRET)).name == "alice"  # it is looked at once a second
    clock.now_s += 1
    assert keys.admit(request(x_api_key="bob's")).name == "bob"
    with pytest.raises(Fault):
        keys.admit(request(x_api_key=SECRET))
    write({"name": "bob"}).touch()
    clock.now_s += 1
    assert keys.admit(request(x_api_key="bob's")).name == "bob"
    assert "the keys stay as they were" in caplog.text
    alice().unlink()
    clock.now_s += 1
    assert keys.admit(request(x_api_key="bob's")).name == "bob"
    alice()
    clock.now_s += 1
    assert keys.admit(request(x_api_key=SECRET)).name == "alice"


def test_a_malformed_file_is_told_once_until_it_changes(alice, write, clock, caplog):
    keys = Keys(alice(), clock=clock)
    write({"name": "bob"})
    for _ in range(3):
        clock.now_s += 1
        keys.admit(request(x_api_key=SECRET))
    assert caplog.text.count("the keys stay as they were") == 1
    write({"name": "bob and alice"})
    for _ in range(3):
        clock.now_s += 1
        keys.admit(request(x_api_key=SECRET))
    assert caplog.text.count("the keys stay as they were") == 2


def test_a_file_that_could_not_be_read_is_when_its_mode_changes(alice, write, clock, monkeypatch):
    keys = Keys(alice(), clock=clock)
    file = write({"name": "bob", "sha256": hashed("bob's")})
    with monkeypatch.context() as patch:
        patch.setattr("encserve_gateway.keys.read_keys", refuse)
        clock.now_s += 1
        assert keys.admit(request(x_api_key=SECRET)).name == "alice"
    seen = file.stat().st_ctime_ns
    while file.stat().st_ctime_ns == seen:  # the clock of a file system is coarse
        file.chmod(0o600)
    clock.now_s += 1
    assert keys.admit(request(x_api_key="bob's")).name == "bob"


def refuse(file, *, may_log):
    raise InvalidInput(f"the keys in {file} cannot be read: Permission denied")


def test_without_a_file_everybody_may_ask():
    assert Keys(None).admit(request()) is EVERYBODY


MALFORMED = {
    "no JSON": ("{", 'no JSON object with a list "keys"'),
    "a list": ("[]", 'no JSON object with a list "keys"'),
    "no list": ('{"keys": {}}', 'no JSON object with a list "keys"'),
    "no name": ([{"sha256": hashed()}], "key 0 of"),
    "a key in place of its hash": ([{"name": "a", "sha256": SECRET}], "64 hexadecimal digits"),
    "an unknown setting": ([{"name": "a", "sha256": hashed(), "model": "m"}], "unknown setting 'model'"),
    "models": ([{"name": "a", "sha256": hashed(), "models": "m"}], "models is no list"),
    "a rate": ([{"name": "a", "sha256": hashed(), "requests_per_second": 0}], "requests_per_second is no positive"),
    "a burst": ([{"name": "a", "sha256": hashed(), "burst": 0.5}], "burst is no positive"),
    "a lane": ([{"name": "a", "sha256": hashed(), "lane": "fast"}], "lane is neither"),
    "traces": ([{"name": "a", "sha256": hashed(), "traces": "yes"}], "traces is neither true nor false"),
    "callers": ([{"name": "a", "sha256": hashed(), "callers": 1}], "callers is neither true nor false"),
    "a name": ([{"name": "a\n", "sha256": hashed()}], "name has characters that cannot be printed"),
    "a time": ([{"name": "a", "sha256": hashed(), "expires": "soon"}], "soon"),
    "a time without its offset": (
        [{"name": "a", "sha256": hashed(), "expires": "2027-01-01T00:00:00"}],
        "expires has no offset",
    ),
    "one key twice": ([{"name": "a", "sha256": hashed()}, {"name": "b", "sha256": hashed()}], "is that of 'a', too"),
    "no object": ([3], "key 0 of"),
}


@pytest.mark.parametrize(("content", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_files(write, content, message):
    file = write(*content) if isinstance(content, list) else write()
    if isinstance(content, str):
        file.write_text(content)
    with pytest.raises(InvalidInput, match=re.escape(message)) as error:
        read_keys(file)
    assert SECRET not in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        Keys(tmp_path / "keys.json")
