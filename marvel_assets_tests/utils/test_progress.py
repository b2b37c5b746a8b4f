"""Lines for a person who waits for a fit."""

from marvel_assets.utils.progress import Progress


def test_every_ten_seconds_a_line_says_how_many_trees_are_grown_and_how_long_the_others_take():
    # given
    lines: list[str] = []
    seconds = 0.0
    progress = Progress(lines.append, "trees", 1000, clock=lambda: seconds)

    # when: ten trees a second
    for grown in range(1, 251):
        seconds = grown / 10
        progress(grown)

    # then
    assert lines == ["100 of 1,000 trees, about 90 s left", "200 of 1,000 trees, about 80 s left"]


def test_where_nobody_knows_how_many_there_will_be_it_says_how_many_there_are():
    # given
    lines: list[str] = []
    seconds = 0.0
    progress = Progress(lines.append, "rows read", clock=lambda: seconds)

    # when
    seconds = 11.0
    progress(1_000_000)

    # then
    assert lines == ["1,000,000 rows read"]
