"""What the page works out by itself, from numbers that it is given."""


def test_a_line_of_zeros_lies_at_the_bottom(open_page, daemon):
    page = open_page(f"{daemon.url}/policies")
    drawn = page.evaluate("""async () => {
        const { sparkline } = await import('/dashboard/chart.js');
        const heights = (values) => sparkline(values).children[0].props.d.slice(1).split(/[ML]/).map((point) => Number(point.split(' ')[1]));
        return [heights([0, 0, 0]), heights([0, 4]), heights([7, 7])];
    }""")
    zeros, rising, even = drawn
    assert zeros == [100, 100, 100]
    assert rising[0] == 100 and rising[1] < 20
    assert 0 < even[0] < 100


def test_the_clock_forgets_what_it_knew_of_a_clock_that_runs_otherwise(open_page, daemon):
    """The browser's clock is a tenth of a percent fast; answers are late by 3 ms to 2 s, most of them by little."""
    page = open_page(f"{daemon.url}/policies")
    worst = page.evaluate("""async () => {
        const { clock } = await import('/dashboard/clock.js?by-itself');
        const time = performance.now;
        let truth = 0;
        let worst = 0;
        performance.now = () => truth * 1.001;
        for (let second = 0; second < 86400; second++) {
            truth += 1000;
            clock.sample(truth - [3, 40, 2000, 7, 11][second % 5]);
            worst = Math.max(worst, Math.abs(clock.now() - truth));
        }
        performance.now = time;
        return worst;
    }""")
    # What it drifts in two minutes, and the least that an answer is late.
    assert worst <= 123
