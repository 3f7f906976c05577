"""What the Events view is made of, by itself: whatever comes in whatever order, it shows a stretch of the history without a
hole and without a repeat. The daemon is played, so that each order of things can come.
"""

import os
import random

# A history of which the filter wants two events of three; the interface as the page sees it; a stream that is opened where
# the page says, and of which any part comes while an answer is on its way. Answers are cut short at will, as for their size.
WORLD = """async (seed) => {
    const { Feed } = await import('/dashboard/feed.js');
    const { get, set } = { get: window.fetch, set: (to) => (window.fetch = to) };
    const time = performance.now;
    let now = 0;
    performance.now = () => now;
    const below = (most) => {
        seed = (seed + 0x6d2b79f5) | 0;
        let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
        mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
        return ((mixed ^ (mixed >>> 14)) >>> 0) % most;
    };
    const wanted = [];
    let last = 0;
    const happens = (times) => {
        for (let time = 0; time < times; time++) if (last++, below(3)) wanted.push(last);
    };
    const item = (sequence) => ({ sequence });
    const answer = (query) => {
        const most = 1 + below(Number(query.get('limit')));
        let from = Number(query.get('after') ?? 0);
        let to = Number(query.get('before') ?? last + 1) - 1;
        let found = wanted.filter((each) => each > from && each <= to);
        if (query.has('after')) {
            if (found.length > most) to = found[most - 1];
        } else if (found.length > most) {
            from = found[found.length - most] - 1;
        }
        found = found.filter((each) => each > from && each <= to);
        return { items: found.map(item), older: from > 0 ? from + 1 : null, newer: to, last_sequence: last, oldest_kept_sequence: 1, history: 'h' };
    };
    let stream = null;
    const flows = (most) => {
        for (const sequence of wanted.filter((each) => each > stream?.cursor).slice(0, below(most + 1))) {
            if (!stream) return;
            stream.cursor = sequence;
            stream.source.events.message(item(sequence));
        }
        if (stream && !wanted.some((each) => each > stream.cursor)) {
            stream.cursor = last;
            stream.source.events.progress({ sequence: last });
        }
    };
    set(async (url) => {
        happens(below(5));
        flows(5);
        const body = JSON.stringify(answer(new URLSearchParams(url.split('?')[1])));
        happens(below(5));
        flows(5);
        await null;
        return new Response(body);
    });
    let opening;
    let times = 0;
    const connection = { show: (source) => {
        stream = null;
        const mine = ++times;
        const opened = (url) => {
            if (mine !== times) return;
            stream = { source, cursor: Number(new URLSearchParams(url.split('?')[1]).get('after')) };
            source.events.hello({ history: 'h', oldest_kept_sequence: 1 });
        };
        opening = source.url().then(opened, (error) => {
            if (mine === times) throw error;
        });
    } };
    happens(below(900));
    const feed = new Feed({}, below(2) ? null : below(last + 1), () => {});
    feed.listen(connection);
    await opening;
    const done = [];
    const whole = (what) => {
        done.push(what);
        const seen = feed.events.map((each) => each.sequence);
        const between = wanted.filter((each) => each >= seen[0] && each <= seen.at(-1));
        if (JSON.stringify(seen) !== JSON.stringify(between)) throw new Error(`${done.slice(-6)}: ${seen} instead of ${between}`);
        if (seen.length > 2000) throw new Error(`${done.slice(-6)}: ${seen.length} events`);
    };
    whole('begin');
    for (let step = 0; step < 60; step++) {
        // Never so many a second that it would be too fast.
        now += 60000;
        happens(below(20) ? below(60) : 4000);
        const what = ['flow', 'flow', 'pause', 'resume', 'older', 'newer', 'wait'][below(7)];
        if (what === 'flow') flows(4000);
        if (what === 'pause') feed.pause();
        if (what === 'resume') feed.resume();
        if (what === 'older') await feed.readOlder();
        if (what === 'newer') await feed.readNewer();
        if (what === 'wait') await opening;
        whole(what);
    }
    feed.resume();
    await opening;
    flows(0);
    for (now += 60000; wanted.some((each) => each > stream.cursor); now += 60000) flows(4000);
    feed.pause();
    whole('end');
    if (feed.newest !== wanted.at(-1) || feed.missed || feed.missedMore) throw new Error(`not at the end: ${feed.newest} of ${wanted.at(-1)}`);
    feed.stop();
    set(get);
    performance.now = time;
    return feed.events.length;
}"""


RUNS = 60


def test_whatever_comes_in_whatever_order_nothing_is_lost_or_shown_twice(open_page, daemon):
    page = open_page(f"{daemon.url}/policies")
    first = int(os.environ.get("AGENTKEEPER_SEED") or random.randrange(1 << 30))
    for seed in range(first, first + RUNS):
        print(f"AGENTKEEPER_SEED={seed}")
        assert page.evaluate(WORLD, seed) > 0


# A daemon that is played from outside: `answers` are the pages that it has, in their order. The page's clock stands still,
# so that all that it sends comes within a second.
PLAYED = """async () => {
    const { Feed } = await import('/dashboard/feed.js');
    const fetch = window.fetch;
    const time = performance.now;
    const now = performance.now();
    performance.now = () => now;
    const item = (sequence) => ({ sequence });
    const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => item(from + index));
    const page = (from, to, more = {}) => ({
        items: range(from, to), older: from > 1 ? from : null, newer: to, last_sequence: to, oldest_kept_sequence: 1, history: 'h', clock_ms: 0, ...more });
    const daemon = { page, range, item, events: null, urls: [], answers: [] };
    window.fetch = async () => new Response(JSON.stringify(daemon.answers.shift()));
    let opening;
    const connection = { show: (source) => {
        daemon.events = null;
        opening = source.url().then((url) => {
            daemon.urls.push(url);
            daemon.events = source.events;
        });
    } };
    const feed = new Feed({}, null, () => {});
    daemon.begin = async () => {
        feed.listen(connection);
        await opening;
    };
    try {
        return await (PLAY)(feed, daemon, () => opening);
    } finally {
        window.fetch = fetch;
        performance.now = time;
        feed.stop();
    }
}"""


def play(open_page, daemon, script):
    return open_page(f"{daemon.url}/policies").evaluate(PLAYED.replace("PLAY", script.strip()))


def test_what_is_gone_is_told_beside_what_is_shown_until_that_has_left(open_page, daemon):
    told = play(
        open_page,
        daemon,
        """async (feed, daemon) => {
            daemon.answers.push(daemon.page(1, 5));
            await daemon.begin();
            const told = [];
            const tell = () => {
                feed.pause();
                feed.resume();
                told.push(feed.gap && [feed.gap.after, feed.gap.before]);
            };
            daemon.events.gap({ after: 5, oldest_kept_sequence: 300, history_changed: false });
            tell();
            daemon.range(300, 310).forEach((event) => daemon.events.message(event));
            daemon.events.gap({ after: 310, oldest_kept_sequence: 400, history_changed: false });
            tell();
            const between = feed.events.map((each) => each.sequence).join() === [...daemon.range(1, 5), ...daemon.range(300, 310)].map((each) => each.sequence).join();
            daemon.range(400, 2390).forEach((event) => daemon.events.message(event));
            tell();
            daemon.range(2391, 2399).forEach((event) => daemon.events.message(event));
            tell();
            daemon.events.gap({ after: 2399, oldest_kept_sequence: 3000, history_changed: false });
            feed.forgetGap();
            tell();
            return { told, between };
        }""",
    )
    assert told == {"told": [[5, 300], [5, 400], [5, 400], None, None], "between": True}


def test_too_many_a_second_are_looked_at_now_and_then_until_it_is_calmer(open_page, daemon):
    told = play(
        open_page,
        daemon,
        """async (feed, daemon, opening) => {
            daemon.answers.push(daemon.page(1, 5));
            await daemon.begin();
            const told = [];
            const tell = () => told.push([feed.pace.rate, feed.events.length, feed.newest]);
            for (const event of daemon.range(6, 60000)) daemon.events?.message(event);
            await opening();
            feed.pause();
            feed.resume();
            tell();
            const look = (from, to, clock_ms) =>
                daemon.events.answer({ q: 0, status: 200, body: daemon.page(from, to, { clock_ms, last_sequence: to }) });
            look(99801, 100000, 5000);
            look(149801, 150000, 5500);
            look(199801, 200000, 6000);
            tell();
            feed.pause();
            look(204801, 205000, 7000);
            told.push([feed.live, feed.missed, feed.missedMore, feed.newest]);
            daemon.events.alive({ clock_ms: 9000 });
            await opening();
            told.push(daemon.urls);
            return told;
        }""",
    )
    many, looking, paused, urls = told
    assert many[0] == 5000 and many[1] == 2000 and 5000 <= many[2] < 60000
    assert looking == [100000, 200, 200000]
    assert paused == [False, 200, True, 200000]
    assert [url.split("?")[0] for url in urls] == ["/events", "/api/v1/live", "/events"]
    assert "after=205000" in urls[2]
