"""Synthetic characters with the source's columns and data-quality problems, whose survival can be learned.

Nothing here comes from the real table. All randomness is one PCG64 stream, and all arithmetic is on integers or one of
the four basic operations: ``exp`` and ``log`` differ in the last bit between machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pandas as pd

from marvel_assets.datasets.marvel_kaggle import generator_values as values
from marvel_assets.datasets.marvel_kaggle.generator_values import Choice

Texts = npt.NDArray[np.object_]
Integers = npt.NDArray[np.int64]
Odds = npt.NDArray[np.float64]


def generate(rows: int, seed: int) -> pd.DataFrame:
    """Invent characters.

    Args:
        rows: how many, at least 1. A smaller table is not the beginning of a larger one.
        seed: any integer from 0. The same rows and seed give the same table, in any process and on any machine.

    Returns:
        The source's columns in the source's order, rows sorted by name; all cells are text, as in the CSV: heights in
        metres, weights in kilograms, missing cells empty.
    """
    rng = np.random.Generator(np.random.PCG64(seed))

    universe, universe_odds, universe_code = _drawn(rng, _universes(), rows)
    identity, identity_odds, _ = _drawn(rng, values.IDENTITIES, rows)
    gender, gender_odds, _ = _drawn(rng, values.GENDERS, rows)
    marital_status, marital_odds, _ = _drawn(rng, values.MARITAL_STATUSES, rows)
    origin, origin_odds, _ = _drawn(rng, values.ORIGINS, rows)
    in_team = rng.random(rows) < values.TEAM_RATE
    how_well_known = rng.random(rows)
    measured, weighed = how_well_known < values.HEIGHT_RATE, how_well_known < values.WEIGHT_RATE

    odds = values.BASE_ODDS * universe_odds * identity_odds * gender_odds * marital_odds * origin_odds
    odds = odds * np.where(in_team, values.TEAM_ODDS, 1.0) * np.where(measured, values.MEASURED_ODDS, 1.0)
    fate = np.where(rng.random(rows) * (1.0 + odds) < odds, "Alive", "Dead").astype(object)
    fate = np.where(rng.random(rows) < values.ODD_FATE_RATE, _drawn(rng, values.ODD_FATES, rows)[0], fate)

    name, page_id, page_in_url = _pages(rng, universe, universe_code)
    repeated = np.flatnonzero(rng.random(rows - 1) < values.REPEATED_ID_RATE)
    for cells in (name, page_id, page_in_url):
        cells[repeated + 1] = cells[repeated]
    lost_id = rng.random(rows) < values.MISSING_ID_RATE

    teams = _listed(rng, values.TEAMS, rows)
    creators = _listed(rng, [f"{family[:4]}a {family}" for family in values.FAMILIES], rows)
    height = _measures(rng, (120, 230), values.UNPARSEABLE_HEIGHTS, rows)
    height[rng.random(rows) < values.GIANT_RATE] = values.GIANT_HEIGHT
    weight = _measures(rng, (4000, 16000), values.UNPARSEABLE_WEIGHTS, rows)

    columns = {
        "": np.arange(rows).astype(str),
        "PageID": np.where(lost_id, "", page_id),
        "Name": name,
        "Universe": universe,
        "URL": "https://example.org/wiki/" + page_in_url,
        "Identity": identity,
        "Gender": gender,
        "Alive": fate,
        "Marital Status": marital_status,
        "Teams": np.where(in_team, teams, ""),
        "Height (m)": np.where(measured, height, ""),
        "Weight (kg)": np.where(weighed, weight, ""),
        "Origin": origin,
        "Creators": np.where(rng.random(rows) < values.CREATORS_RATE, creators, ""),
    }
    for column, cells in columns.items():
        if column not in ("", "Name", "URL", "Alive"):  # these have no gaps
            columns[column] = _with_missing_markers(rng, cells)
    return pd.DataFrame(columns, dtype=object)


def _universes() -> list[Choice]:
    """All universes: the main one, the frequent ones, the rare ones and the missing one."""
    universes = [values.MAIN_UNIVERSE, values.MISSING_UNIVERSE]
    rare_percent = 100.0 - universes[0].percent - universes[1].percent - values.FREQUENT_UNIVERSES_PERCENT
    for count, percent, flatness, odds in (
        (values.FREQUENT_UNIVERSES, values.FREQUENT_UNIVERSES_PERCENT, 10, values.UNIVERSE_ODDS),
        (values.RARE_UNIVERSES, rare_percent, 1000, (values.RARE_UNIVERSE_ODDS,)),
    ):
        shares = [1.0 / (place + flatness) for place in range(count)]
        total = fsum(shares)  # the built-in sum rounds differently from one Python to the next
        for number, share in enumerate(shares, start=len(universes) - 1):
            # A multiple of 7919 modulo a larger prime: scattered, and never the same twice.
            label = f"Earth-{'TRN' if number % 9 == 0 else ''}{300_000 + number * 7919 % 99991}"
            universes.append(Choice(label, percent * share / total, odds[number % len(odds)]))
    return universes


def _drawn(rng: np.random.Generator, choices: Sequence[Choice], rows: int) -> tuple[Texts, Odds, Integers]:
    """Texts drawn by their percentages, their factors of the odds, their places among the choices; each (rows,)."""
    upper_ends = np.cumsum([choice.percent for choice in choices])
    codes = np.searchsorted(upper_ends[:-1], rng.random(rows) * upper_ends[-1], side="right")
    texts = np.array([choice.text for choice in choices], dtype=object)
    odds = np.array([choice.odds for choice in choices], dtype=np.float64)
    return texts[codes], odds[codes], codes


def _pages(rng: np.random.Generator, universe: Texts, universe_code: Integers) -> tuple[Texts, Texts, Texts]:
    """Names, page ids without repeats, and the ids as URLs hold them; each (rows,), the names in order."""
    rows = len(universe)
    given = sorted(start + middle + end for start in values.STARTS for middle in values.MIDDLES for end in values.ENDS)
    bynames = sorted(values.BYNAMES)
    names = len(given) * len(bynames)
    # The code of a name is its place in the order of names: distinct codes, sorted, are names in order.
    pool = np.unique(rng.integers(0, names, max(1, int(rows * values.NAMES_PER_ROW)), dtype=np.int64))
    popularity = rng.permutation(len(pool))
    chance = rng.random(rows)
    code = np.sort(pool[popularity[(chance * chance * len(pool)).astype(np.int64)]])
    first, last = code // len(bynames), code % len(bynames)

    name_in_universe = pd.Series(universe_code * names + code)
    namesakes = name_in_universe.groupby(name_in_universe).cumcount().to_numpy()
    ordinals = np.array(["", *(f"_{nth}" for nth in range(2, int(namesakes.max()) + 2))], dtype=object)[namesakes]
    bracketed = np.where(universe == "", "", "_(" + universe + ")")

    def put_together(given: list[str], bynames: list[str]) -> Texts:
        texts: Texts = np.array(given, dtype=object)[first] + np.array(bynames, dtype=object)[last]
        return texts

    in_id = [[part.replace(" ", "_") for part in parts] for parts in (given, bynames)]
    in_url = [[quote(part, safe="(),") for part in parts] for parts in in_id]
    return (
        put_together(given, bynames),
        put_together(*in_id) + ordinals + bracketed,
        put_together(*in_url) + ordinals + bracketed,
    )


def _listed(rng: np.random.Generator, parts: Sequence[str], rows: int) -> Texts:
    """One to three different parts per cell, with semicolons between them; (rows,)."""
    place = rng.integers(0, len(parts), rows, dtype=np.int64)
    cells = np.array(parts, dtype=object)[place]
    following = np.array([f"; {part}" for part in parts], dtype=object)
    more = np.ones(rows, dtype=bool)
    for _ in range(2):
        place = (place + rng.integers(1, len(parts) // 3, rows, dtype=np.int64)) % len(parts)
        more &= rng.random(rows) < values.SECOND_PART_RATE
        cells = np.where(more, cells + following[place], cells)
    return cells


def _measures(rng: np.random.Generator, hundredths: tuple[int, int], unparseable: Sequence[str], rows: int) -> Texts:
    """Decimal numbers between two bounds (in hundredths of the unit), a few replaced by free text; (rows,)."""
    low, high = hundredths
    half = (high - low) // 2
    # The sum of two: the middle is likelier than the ends.
    value = rng.integers(0, half, rows, dtype=np.int64) + rng.integers(0, half, rows, dtype=np.int64)
    cells = np.array([str(number / 100) for number in range(low, high)], dtype=object)[value]
    other = np.array(unparseable, dtype=object)[rng.integers(0, len(unparseable), rows, dtype=np.int64)]
    return np.where(rng.random(rows) < values.UNPARSEABLE_RATE, other, cells)


def _with_missing_markers(rng: np.random.Generator, cells: Texts) -> Texts:
    """The cells, some of the empty ones replaced by a text that means 'missing'; (rows,)."""
    markers = np.array(values.MISSING_MARKERS, dtype=object)
    marker = markers[rng.integers(0, len(markers), len(cells), dtype=np.int64)]
    return np.where((cells == "") & (rng.random(len(cells)) < values.MISSING_MARKER_RATE), marker, cells)
