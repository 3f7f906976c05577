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
