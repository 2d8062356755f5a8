"""What is taken out of texts by form and checksum, and what stays."""

import time

import pytest

from encserve_gateway.samples.patterns import found_by_form, is_card, is_iban, scrubbed


def scrub(text, most=1_000):
    return scrubbed(text, list(found_by_form(text)), most=most)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("write to ann.lee+x@mail.example.co.uk today", "write to [email] today"),
        ("DE89 3704 0044 0532 0130 00 is mine", "[iban] is mine"),
        ("to GB82WEST12345698765432, please", "to [iban], please"),
        ("DE89 3704 0044 0532 0130 00 GB82 WEST 1234 5698 7654 32", "[iban] [iban]"),
        ("card 4111 1111 1111 1111 and 378282246310005.", "card [card] and [card]."),
        ("from 192.168.0.12 or 2001:db8::1 or ::ffff:10.0.0.1", "from [ip] or [ip] or [ip]"),
        ("call +49 (0)30 1234567 or 030/1234567 or (212) 555-0123", "call [phone] or [phone] or [phone]"),
        ("postgres://admin:hunter2@db/x", "postgres://[credentials]@db/x"),
        ("my number is 078-05-1120", "my number is [number]"),
        ("account 1234567890", "account [number]"),
        ("mail to a@b.example,c@d.example", "mail to [email],[email]"),
        ("\uff14\uff11\uff11\uff11 1111 1111 1111", "[card]"),  # digits of full width
    ],
)
def test_what_is_taken_out(text, left):
    assert scrub(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "Ann Lee lives in Berlin",  # a name has no form
        "version 1.2.3 at 12:30:45 costs 1234.50",
        "300.400.500.600 is no address",
        "DE12 is a plate",
        "a@b",
    ],
)
def test_what_stays(text):
    assert scrub(text) == text


def test_checksums_tell_an_account_from_a_typo():
    assert is_iban("DE89370400440532013000")
    assert not is_iban("DE89370400440532013001")
    assert is_card("4111111111111111")
    assert not is_card("4111111111111112")
    assert not is_card("0000000000000000")


def test_what_the_cut_goes_through_is_taken_out_whole():
    text = "x" * 95 + " ann.lee@mail.example and more"
    assert scrub(text, most=100) == "x" * 95 + " [email]"
    assert scrub(text, most=95) == "x" * 95


@pytest.mark.parametrize("piece", ["a", "1", "1 ", "a.", ":", "DE89 ", "+1 ", "(0", "a@", "://a:", "0-"])
def test_time_grows_as_the_text_does(piece):
    """Whatever is repeated, ten times the text takes far less than a hundred times as long, as in a square of it."""

    def seconds(times):
        text = piece * times
        began_s = time.process_time()
        list(found_by_form(text))
        return time.process_time() - began_s

    seconds(10)
    assert seconds(40_000 // len(piece)) < 40 * max(seconds(4_000 // len(piece)), 0.001)
