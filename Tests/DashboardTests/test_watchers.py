"""Who is told what happens, and who cannot keep up: named with its connection, however slow it is."""

import pytest
from conftest import live, row
from keeper import Code, pb
from playwright.sync_api import expect
from raw_http2 import Connection, frame


class Watch:
    """A watcher that reads nothing but what it is told to. What it calls grants a window of 64 KiB and no more."""

    def __init__(self, daemon, **request):
        self.connection = Connection(daemon.port, window=65_535)
        self.stream = self.connection.start("/agentkeeper.v1.WatchService/Watch")
        self.connection.send(self.stream, frame(pb.WatchEventsRequest(**request).SerializeToString()))
        while self.connection.replies[self.stream].headers is None:
            self.connection.receive()
        self.peer = "{}:{}".format(*self.connection.socket.getsockname())

    def read_to_the_end(self):
        return self.connection.reply(self.stream).grpc_status


@pytest.fixture
def daemon(start):
    return start("--event-history=100")


def big_events(client, count):
    for _ in range(count):
        client.CreateTask(type="big", input=bytes(500_000))


def test_a_watcher_is_listed_with_what_it_wants(open_page, daemon, client):
    anna = client.agent("anna")
    watch = Watch(daemon, topics=["lease."], exclude_topics=["lease.renewed"], agent_id=anna)
    page = live(open_page(f"{daemon.url}/watchers"))
    line = row(page, watch.peer)
    expect(line).to_contain_text("WatchService.Watch")
    expect(line).to_contain_text("live")
    # What it wants leads to just these events.
    line.get_by_role("link", name="lease. but lease.renewed").click()
    expect(page.locator("h1")).to_have_text("Events")
    # The page itself is a watcher now, as everybody is who reads /events.
    client.lease("report-7", anna)
    expect(row(page, "report-7")).to_have_count(1)
    other = live(open_page(f"{daemon.url}/watchers"))
    expect(row(other, "/events")).to_have_count(1)
    expect(row(other, watch.peer)).to_have_count(1)


def test_one_that_does_not_read_is_named_where_attention_is_asked_for(open_page, daemon, client):
    # Without an agent the tasks would need attention too.
    client.agent("anna")
    watch = Watch(daemon, topics=["task."])
    page = live(open_page(daemon.url))
    big_events(client, 8)
    other = live(open_page(f"{daemon.url}/watchers?status=behind"))
    expect(row(other, watch.peer)).to_contain_text("events, ")
    expect(page.locator(".attention")).to_have_count(0)
    # Beyond half of what is kept it may never catch up.
    for _ in range(60):
        client.SetPolicy(policy=dict(id="p", subject="a", action="b", resource="c", effect=1))
    attention = page.locator(".attention > li").filter(has_text="1 slow watcher")
    expect(attention).to_contain_text(watch.peer)
    expect(attention).to_contain_text("WatchService.Watch")
    expect(attention).to_contain_text("events, ")
    expect(page.locator("#nav .nav-count")).to_contain_text("1")
    # The history moves past it.
    for _ in range(60):
        client.SetPolicy(policy=dict(id="p", subject="a", action="b", resource="c", effect=1))
    expect(attention).to_contain_text("misses events, not told yet")
    attention.get_by_role("link", name=watch.peer).click()
    line = row(page, watch.peer)
    expect(line).to_contain_text("slow")
    expect(line).to_contain_text("misses events, not told yet")
    # It reads on, and is told.
    assert watch.read_to_the_end() == Code.RESOURCE_EXHAUSTED.value[0]
    expect(row(page, watch.peer)).to_have_count(0)
    expect(page.locator("[aria-labelledby=ended]")).to_contain_text(watch.peer)
    page.get_by_role("link", name="Overview").click()
    expect(attention).to_contain_text("ended, and told of the gap")


def test_nobody_that_is_slow_is_said_so(open_page, daemon, client):
    watch = Watch(daemon)
    page = live(open_page(f"{daemon.url}/watchers?status=slow"))
    expect(page.locator("main")).to_contain_text("No watcher is slow.")
    page.get_by_role("link", name="Show all watchers").click()
    expect(row(page, watch.peer)).to_have_count(1)
