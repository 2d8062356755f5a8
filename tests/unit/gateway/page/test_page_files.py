"""The files of the page at `/`, as the gateway tells them."""

import re
from html.parser import HTMLParser

import pytest
from unit.gateway.asgi import ask, get

from encserve import Unavailable
from encserve_gateway.dialects.overview import FOLDER

FILES = {file.name for file in FOLDER.iterdir()}


class References(HTMLParser):
    """What a page fetches or leads to, and whether every tag that is opened is closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found = [], set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        assert not {name for name in named if name.startswith("on") or name == "style"}, "the policy lets none of them"
        self.found |= {named[name] for name in ("src", "href") if name in named}
        if tag not in ("meta", "link", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


async def test_all_that_the_page_needs_is_here(fake):
    gateway = fake().gateway
    page = await get(gateway, "/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    needed = References(page.body.decode()).found - {"#question", "data:,"}
    fetched = {path for path in needed if path.startswith("page/")}
    for path in needed:
        assert (await get(gateway, f"/{path}")).status == 200
    for path in list(fetched):
        for name in FILES if path.endswith(".js") else ():
            body = (await get(gateway, f"/page/{name}")).body.decode() if name.endswith(".js") else ""
            imported = re.findall(r'from "\./(\w+\.js)"', body)
            assert set(imported) <= FILES
            fetched |= {f"page/{each}" for each in imported}
    assert {path.removeprefix("page/") for path in fetched} | {"index.html"} == FILES, "and nothing else"


@pytest.mark.parametrize("name", sorted(FILES))
async def test_a_file_may_fetch_from_this_gateway_alone(fake, name):
    answered = await get(fake().gateway, "/" if name == "index.html" else f"/page/{name}")
    policy = dict(each.strip().split(" ", 1) for each in answered.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[kind] for kind in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert answered.headers["x-content-type-options"] == "nosniff"
    assert not re.search(rb"https?://(?!www\.w3\.org/2000/svg)", answered.body), "which is a name, and not fetched"
    assert not re.search(rb"innerHTML|outerHTML|insertAdjacentHTML|document\.write|Storage|cookie", answered.body)


@pytest.mark.parametrize(
    "path", ["/page/", "/page/index.html", "/page/../app.py", "/page/%2e%2e/app.py", "/page/nothing.js"]
)
async def test_there_are_no_other_files(fake, path):
    assert (await get(fake().gateway, path)).status == 404


async def test_where_nobody_lives(fake):
    def down(request):
        raise Unavailable("a reason")

    answered = await get(fake(down).gateway, "/")
    assert (answered.status, answered.headers["content-type"]) == (503, "text/html; charset=utf-8")


async def test_the_page_wants_no_key_and_what_it_shows_does(fake, tmp_path):
    file = tmp_path / "keys.json"
    file.write_text('{"keys": []}')
    gateway = fake(keys=file).gateway
    assert (await get(gateway, "/")).status == 200
    assert (await get(gateway, "/page/main.js")).status == 200
    for path in ("/v1/models", "/metrics"):
        assert (await get(gateway, path)).status == 401
    assert (await ask(gateway, "DELETE", "/")).headers["allow"] == "GET, HEAD, POST"
