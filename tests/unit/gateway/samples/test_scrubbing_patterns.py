"""What is taken out of texts by form and checksum, and what stays."""

import time

import pytest

from encserve_gateway.samples.patterns import found_by_form, is_card, is_iban, scrubbed

APART = (" ", "  ", ".", "-", "\n", "\r\n", "\u00a0", "\u202f", "\u2009", "\u200b", "\u2011", "\u2013")
"""What people and programs put between groups of digits."""


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
        ("write to ann\uff20mail.example", "write to [email]"),
        *((f"card 4111{apart}1111{apart}1111{apart}1111", "card [card]") for apart in APART),
        *((f"DE89{apart}3704{apart}0044{apart}0532{apart}0130{apart}00, thanks", "[iban], thanks") for apart in APART),
        *((f"account 1234{apart}5678{apart}90", "account [number]") for apart in APART),
        *((f"call 0171{apart}1234567", "call [phone]") for apart in (*APART, " - ", " / ")),
        *((f"call +49{apart}171{apart}1234567", "call [phone]") for apart in APART),
        *((f"call 212{apart}555{apart}0123", "call [phone]") for apart in APART),
        ("card 5 4111 1111 1111 1111", "card [number]"),
        ("born 30.11.1985 or 11/30/1985 or 1985-11-30 or 1.3.1985", "born [date] or [date] or [date] or [date]"),
        ("born 30.11.85, or 1. 3. 1985", "born [date], or [date]"),
        ("Anna,0171/1234567,Bonn", "Anna,[phone],Bonn"),
        ("Tel.0171/1234567", "Tel.[phone]"),
        ("Tel-0171/1234567", "Tel-[phone]"),
        ("from 2001:db8::1: refused", "from [ip]: refused"),
        ("ip:2001:db8::1", "ip:[ip]"),
        ("source:2001:db8::1, and 2001:db8::", "source:[ip], and [ip]"),
        ("300.400.500.600 is no address", "[number] is no address"),
    ],
)
def test_what_is_taken_out(text, left):
    assert scrub(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "Ann Lee lives in Berlin",  # a name has no form
        "version 1.2.3 at 12:30:45 costs 1234.50",
        "at 12:30:45:10, 3.14159 and std::vector",
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


@pytest.mark.parametrize(
    "piece", ["a", "1", "1 ", "a.", ":", "DE89 ", "+1 ", "(0", "a@", "://a:", "0-", "2001:", "1.", "1_  "]
)
def test_time_grows_as_the_text_does(piece):
    """Whatever is repeated, ten times the text takes far less than a hundred times as long, as in a square of it."""

    def seconds(times):
        text = piece * times
        began_s = time.process_time()
        list(found_by_form(text))
        return time.process_time() - began_s

    seconds(10)
    assert seconds(40_000 // len(piece)) < 40 * max(seconds(4_000 // len(piece)), 0.001)
