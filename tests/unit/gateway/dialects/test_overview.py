"""The page at `/`."""

from dataclasses import replace
from html.parser import HTMLParser

from unit.gateway.asgi import ask, get
from unit.gateway.pipelines import PIPELINES, PLAIN

from encserve import Unavailable
from encserve_gateway.dialects.overview import page
from encserve_gateway.pipelines.aliases import Alias
from encserve_gateway.pipelines.health import Report, State
from encserve_gateway.pipelines.upstream import Served

VOID = {"meta", "br"}


class Read(HTMLParser):
    """The cells of the table, the links, and whether every tag that is opened is closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.links, self.fetched = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.fetched += [value for name, value in named.items() if name == "src" or tag == "link"]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag == "a":
            self.links.append(named["href"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and {"td", "th"} & set(self.open):
            self.rows[-1].append(data)


async def test_every_name_with_what_answers_and_how_it_is(fake):
    gateway = fake(aliases=(Alias(name="small", pipeline="plain"),)).gateway
    answered = await get(gateway, "/")
    assert (answered.status, answered.headers["content-type"]) == (200, "text/html; charset=utf-8")
    read = Read(answered.body.decode())
    head, *rows = read.rows
    assert [row[0] for row in rows] == ["small", *sorted(each.name for each in PIPELINES)]
    assert dict(zip(head, rows[0], strict=True)) == {
        "name": "small",
        "task": "feature-extraction",
        "state": "ready",
        "pipeline": "plain",
        "version": "1",
        "precision": "fp32",
        "engine": "python",
        "tokens of a text": "8",
        "certificate": "0" * 12,
    }


async def test_its_links_lead_somewhere_and_nothing_is_fetched(fake):
    gateway = fake().gateway
    read = Read((await get(gateway, "/")).body.decode())
    assert read.fetched == []
    assert len(read.links) == 4
    for link in read.links:
        assert (await get(gateway, f"/{link}")).status == 200


async def test_where_nobody_lives(fake):
    def down(request):
        raise Unavailable("a reason")

    answered = await get(fake(down).gateway, "/")
    assert answered.status == 503
    assert "No pipeline answers." in answered.body.decode()
    assert Read(answered.body.decode()).rows == []


def test_names_are_text():
    odd = replace(PLAIN, name="<b>bold</b>", version="", precision='"&<i>')
    served = Served(name="<u>", pipeline=odd, alias=Alias(name="<u>", pipeline=odd.name))
    text = page([served], Report(pipelines={odd.name: State.OVERLOADED}))
    assert not {"<b>", "<i>", "<u>"} & {text[place : place + 3] for place in range(len(text))}
    (_, row) = Read(text).rows
    assert row[:6] == ["<u>", "feature-extraction", "overloaded", "<b>bold</b>", "not asked yet", '"&<i>']


async def test_it_wants_a_key_where_the_list_of_models_does(fake, tmp_path):
    file = tmp_path / "keys.json"
    file.write_text('{"keys": []}')
    assert (await get(fake(keys=file).gateway, "/")).status == 401
    assert (await get(fake(keys=file, public_models=True).gateway, "/")).status == 200
    assert (await ask(fake().gateway, "DELETE", "/")).headers["allow"] == "GET, HEAD, POST"
