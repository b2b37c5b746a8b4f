"""Synthetic characters with the source's columns and data-quality problems, whose survival can be learned.

Nothing here comes from the real table. All randomness is one PCG64 stream, and all arithmetic is on integers or one of
the four basic operations: ``exp`` and ``log`` differ in the last bit between machines.
"""

from collections.abc import Callable, Sequence
from math import fsum
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pandas as pd

Texts = npt.NDArray[np.object_]


class Choice(NamedTuple):
    """A value of a cell, how frequent it is, and its factor of the odds of being alive, which needs no logarithm."""

    text: str
    percent: float
    odds: float = 1.0


# fmt: off
BASE_ODDS = 6.8  # three quarters of the usable rows are alive, as in the source

IDENTITIES = (
    Choice("", 20, 1.8), Choice("Public", 48.4), Choice("Secret", 31, 0.55),
    # Not accepted, so that some rows are rejected for their identity.
    Choice("Known to Authorities", 0.4), Choice("No Dual Identity", 0.2),
)
GENDERS = (
    Choice("", 4, 2.4), Choice("Male", 77, 0.85), Choice("Female", 17, 1.5), Choice("Agender", 1.5, 0.5),
    # Some free text contains 'Male': only the whole cell may match.
    Choice("Male, formerly Female", 0.2), Choice("Fluid (shape-changer)", 0.2), Choice('"Neither"', 0.1),
)
MARITAL_STATUSES = (
    Choice("", 59, 1.3), Choice("Single", 32.5), Choice("Married", 6.5, 0.4), Choice("Widowed", 0.8, 0.4),
    # 'Widow' is corrected by the rules; rows with the two after it are rejected.
    Choice("Engaged", 0.3, 1.5), Choice("Widow", 0.2, 0.4), Choice("Divorced", 0.4), Choice("Separated", 0.3),
)
SPECIES = ("Ulvaran", "Quorrish", "Mersk", "Tölvian", "Ishkari", "Drûn", "Pelagon", "Ovarri", "Zémite", "Kaldrun")
CONDITIONS = (  # combined with species they are free text: each is rare, and some contain a word that a rule looks for
    Choice(" hybrid", 2, 1.9), Choice(" / Human hybrid", 0.8), Choice(", raised by Aliens", 0.7, 0.6),
    Choice(' "star-fed"', 1, 1.9), Choice(" (altered)", 1, 1.9), Choice("; Mutant", 0.9, 0.4),
    Choice(" by magic", 0.6, 0.5),
)
ORIGINS = (  # every rule of the column has a match, alone and where an earlier rule must win
    Choice("", 18, 1.9), Choice("Human", 35), Choice("human", 0.5), Choice("Human Mutate", 3, 0.6),
    Choice("Human mutate, altered by radiation", 1, 0.6), Choice("Human (magic user)", 1.2, 0.4),
    Choice("Human with Magical gifts", 0.6, 0.4), Choice("Inhuman", 2, 1.2), Choice("Mutant", 18, 0.4),
    Choice("Mutate", 1.5, 0.4), Choice("Mutant / Alien hybrid", 0.8, 0.4), Choice("Asgardian", 1.3, 2.8),
    Choice("Asgardian, schooled in MAGIC", 0.3, 1.1), Choice("Alien", 3, 0.6), Choice("Alien Symbiote", 0.4, 0.6),
    Choice("Symbiote", 0.7, 0.35), Choice("Robot", 2, 0.35), Choice("Cosmic Being", 0.8, 4.0),
    Choice("Demon", 1.6, 2.0), Choice("Construct, born of magic", 0.3, 0.8), Choice('"Something else"', 1, 1.9),
    *(Choice(name + text, percent / len(SPECIES), odds) for name in SPECIES for text, percent, odds in CONDITIONS),
)
ODD_FATES = (  # rare, as in the source; most begin with 'Alive': only the whole cell may match
    Choice("Alive (in exile)", 45), Choice("Alive (lost between worlds)", 20), Choice("Dead (by own account)", 15),
    Choice("Unknown", 15), Choice("", 5),
)
ODD_FATE_RATE = 0.003

MAIN_UNIVERSE, MISSING_UNIVERSE = Choice("Earth-616", 33.3, 1.1), Choice("", 0.5)
OTHER_UNIVERSES = (  # how many, their percentages together, how alike these are, and odds, which they take in turn
    (40, 20.0, 10, (0.25, 0.6, 1.0, 1.8, 4.0)),  # of 92,000 rows each has more than the 50 below which names are merged
    (6000, 46.2, 1000, (0.8,)),  # and each of these far fewer
)

TEAM_RATE, TEAM_ODDS = 0.52, 0.5
HEIGHT_RATE, WEIGHT_RATE, MEASURED_ODDS = 0.06, 0.05, 0.4  # every row with a weight has a height
GIANT_RATE, GIANT_HEIGHT = 0.02, "304.8"  # the source has it too: cleaning must not clip it
UNPARSEABLE_RATE = 0.02  # texts that the engines' casts read differently
UNPARSEABLE_HEIGHTS = ("Varies", "1,85", "6 ft", "~2.1", "1.9 m")
UNPARSEABLE_WEIGHTS = ("Varies", "90,5", "210 lbs", "~80", "1_000")

CREATORS_RATE = 0.99
SECOND_PART_RATE = 0.35  # that a cell lists a second team or creator, and then a third
MISSING_MARKERS, MISSING_MARKER_RATE = ("N/A", "None", "NULL", "nan"), 0.01  # of the missing cells
MISSING_ID_RATE, REPEATED_ID_RATE = 0.0005, 0.002  # a repeated id has other cells the second time
NAMES_PER_ROW = 0.8  # one name occurs in many universes

STARTS = ("Arv", "Bresk", "Célu", "Dral", "Évo", "Fenth", "Ghor", "Ilm", "Jask", "Kov", "Lurr", "Mýr", "Nesk", "O'Dre",
          "Prov", "Quel", "Ravsk", "Sørl", "T'Vel", "Ulth", "Vrax", "Wend", "Yss", "Zhul")
MIDDLES = ("a", "e", "i", "o", "u", "ae", "ou", "ö")
ENDS = ("bek", "dran", "fir", "gost", "lim", "mar", "neth", "pax", "rusk", "sil", "tov", "vand")
FAMILIES = tuple(f"{start.replace(chr(39), '')}{end}ev" for start in STARTS for end in ENDS)
BYNAMES = ("", ", the Elder", ", Keeper of Tides", ' "Ash"', ' "Two-Moons"', " (Clone)",
           *(f" {name}" for name in FAMILIES))
TEAM_COLOURS = ("Amber", "Basalt", "Cinder", "Dusk", "Ébène", "Frost", "Gilt", "Hollow", '"Ivory"', "Jade")
TEAM_BODIES = ("Accord", "Brigade", "Choir", "Dynasty", "Envoys, Inc.", "Foundry", "Guard's Own", "Hunters",
               "Institute")
TEAMS = tuple(f"{colour} {body}" for colour in TEAM_COLOURS for body in TEAM_BODIES)
# fmt: on


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

    universe, universe_odds = _drawn(rng, _universes(), rows)
    identity, identity_odds = _drawn(rng, IDENTITIES, rows)
    gender, gender_odds = _drawn(rng, GENDERS, rows)
    marital_status, marital_odds = _drawn(rng, MARITAL_STATUSES, rows)
    origin, origin_odds = _drawn(rng, ORIGINS, rows)
    in_team = rng.random(rows) < TEAM_RATE
    how_well_known = rng.random(rows)
    measured, weighed = how_well_known < HEIGHT_RATE, how_well_known < WEIGHT_RATE

    odds = BASE_ODDS * universe_odds * identity_odds * gender_odds * marital_odds * origin_odds
    odds = odds * np.where(in_team, TEAM_ODDS, 1.0) * np.where(measured, MEASURED_ODDS, 1.0)
    fate = np.where(rng.random(rows) * (1.0 + odds) < odds, "Alive", "Dead").astype(object)
    fate = np.where(rng.random(rows) < ODD_FATE_RATE, _drawn(rng, ODD_FATES, rows)[0], fate)

    name, page_id, page_in_url = _pages(rng, universe)
    repeated = np.flatnonzero(rng.random(rows - 1) < REPEATED_ID_RATE)
    for cells in (name, page_id, page_in_url):
        cells[repeated + 1] = cells[repeated]
    lost_id = rng.random(rows) < MISSING_ID_RATE

    teams = _listed(rng, TEAMS, rows)
    creators = _listed(rng, [f"{family[:4]}a {family}" for family in FAMILIES], rows)
    height = _measures(rng, 120, 230, UNPARSEABLE_HEIGHTS, rows)
    height[rng.random(rows) < GIANT_RATE] = GIANT_HEIGHT
    weight = _measures(rng, 4000, 16000, UNPARSEABLE_WEIGHTS, rows)

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
        "Creators": np.where(rng.random(rows) < CREATORS_RATE, creators, ""),
    }
    for column, cells in columns.items():
        if column not in ("", "Name", "URL", "Alive"):  # these have no gaps
            columns[column] = _with_missing_markers(rng, cells)
    return pd.DataFrame(columns, dtype=object)


def _universes() -> list[Choice]:
    universes = [MAIN_UNIVERSE, MISSING_UNIVERSE]
    for count, percent, flatness, odds in OTHER_UNIVERSES:
        shares = [1.0 / (rank + flatness) for rank in range(count)]
        total = fsum(shares)  # the built-in sum rounds differently from one Python to the next
        for number, share in enumerate(shares, start=len(universes) - 1):
            # A multiple of 7919 modulo a larger prime: scattered, and never the same twice.
            label = f"Earth-{'TRN' if number % 9 == 0 else ''}{300_000 + number * 7919 % 99991}"
            universes.append(Choice(label, percent * share / total, odds[number % len(odds)]))
    return universes


def _drawn(rng: np.random.Generator, choices: Sequence[Choice], rows: int) -> tuple[Texts, npt.NDArray[np.float64]]:
    """Texts drawn by their percentages, and their factors of the odds; each (rows,)."""
    upper_ends = np.cumsum([choice.percent for choice in choices])
    codes = np.searchsorted(upper_ends[:-1], rng.random(rows) * upper_ends[-1], side="right")
    texts = np.array([choice.text for choice in choices], dtype=object)
    return texts[codes], np.array([choice.odds for choice in choices])[codes]


def _pages(rng: np.random.Generator, universe: Texts) -> tuple[Texts, Texts, Texts]:
    """Names in order, page ids without repeats, and the ids as URLs hold them; each (rows,)."""
    rows = len(universe)
    given = sorted(start + middle + end for start in STARTS for middle in MIDDLES for end in ENDS)
    bynames = sorted(BYNAMES)
    # The code of a name is its rank in the order of names: distinct codes, sorted, are names in order.
    pool = np.unique(rng.integers(0, len(given) * len(bynames), max(1, int(rows * NAMES_PER_ROW)), dtype=np.int64))
    popularity = rng.permutation(len(pool))
    chance = rng.random(rows)
    code = np.sort(pool[popularity[(chance * chance * len(pool)).astype(np.int64)]])

    namesakes = pd.Series(code).groupby([code, universe], sort=False).cumcount().to_numpy()
    ordinals = np.array(["", *(f"_{nth}" for nth in range(2, int(namesakes.max()) + 2))], dtype=object)[namesakes]
    bracketed = np.where(universe == "", "", "_(" + universe + ")")

    def compose(write: Callable[[str], str]) -> Texts:
        starts, ends = (np.array([write(part) for part in parts], dtype=object) for parts in (given, bynames))
        texts: Texts = starts[code // len(bynames)] + ends[code % len(bynames)]
        return texts

    page_id = compose(lambda part: part.replace(" ", "_")) + ordinals + bracketed
    page_in_url = compose(lambda part: quote(part.replace(" ", "_"), safe="(),")) + ordinals + bracketed
    return compose(str), page_id, page_in_url


def _listed(rng: np.random.Generator, parts: Sequence[str], rows: int) -> Texts:
    """One to three different parts per cell, with semicolons between them; (rows,)."""
    index = rng.integers(0, len(parts), rows, dtype=np.int64)
    cells = np.array(parts, dtype=object)[index]
    following = np.array([f"; {part}" for part in parts], dtype=object)
    more = np.ones(rows, dtype=bool)
    for _ in range(2):
        index = (index + rng.integers(1, len(parts) // 3, rows, dtype=np.int64)) % len(parts)
        more &= rng.random(rows) < SECOND_PART_RATE
        cells = np.where(more, cells + following[index], cells)
    return cells


def _measures(rng: np.random.Generator, low: int, high: int, unparseable: Sequence[str], rows: int) -> Texts:
    """Decimal numbers between two bounds (in hundredths of the unit), a few replaced by free text; (rows,)."""
    half = (high - low) // 2
    # The sum of two: the middle is likelier than the ends.
    value = rng.integers(0, half, rows, dtype=np.int64) + rng.integers(0, half, rows, dtype=np.int64)
    cells = np.array([str(number / 100) for number in range(low, high)], dtype=object)[value]
    other = np.array(unparseable, dtype=object)[rng.integers(0, len(unparseable), rows, dtype=np.int64)]
    return np.where(rng.random(rows) < UNPARSEABLE_RATE, other, cells)


def _with_missing_markers(rng: np.random.Generator, cells: Texts) -> Texts:
    """The cells, some of the empty ones replaced by a text that means 'missing'; (rows,)."""
    markers = np.array(MISSING_MARKERS, dtype=object)
    marker = markers[rng.integers(0, len(markers), len(cells), dtype=np.int64)]
    return np.where((cells == "") & (rng.random(len(cells)) < MISSING_MARKER_RATE), marker, cells)
