"""The values of invented characters' cells, how frequent each is, and its factor of the odds of being alive."""

from __future__ import annotations

from typing import NamedTuple


class Choice(NamedTuple):
    """A value of a cell.

    Attributes:
        text: the cell; empty where it is missing.
        percent: of the rows.
        odds: factor of the odds of being alive. With factors a logistic model needs no logarithm.
    """

    text: str
    percent: float
    odds: float = 1.0


# fmt: off
BASE_ODDS = 6.8
"""Set so that three quarters of the usable rows are alive, as in the source."""

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
CONDITIONS = (
    Choice(" hybrid", 2, 1.9), Choice(" / Human hybrid", 0.8), Choice(", raised by Aliens", 0.7, 0.6),
    Choice(' "star-fed"', 1, 1.9), Choice(" (altered)", 1, 1.9), Choice("; Mutant", 0.9, 0.4),
    Choice(" by magic", 0.6, 0.5),
)
"""Combined with species they are free text: each is rare, and some contain a word that a rule looks for."""

ORIGINS = (
    Choice("", 18, 1.9), Choice("Human", 35), Choice("human", 0.5), Choice("Human Mutate", 3, 0.6),
    Choice("Human mutate, altered by radiation", 1, 0.6), Choice("Human (magic user)", 1.2, 0.4),
    Choice("Human with Magical gifts", 0.6, 0.4), Choice("Inhuman", 2, 1.2), Choice("Mutant", 18, 0.4),
    Choice("Mutate", 1.5, 0.4), Choice("Mutant / Alien hybrid", 0.8, 0.4), Choice("Asgardian", 1.3, 2.8),
    Choice("Asgardian, schooled in MAGIC", 0.3, 1.1), Choice("Alien", 3, 0.6), Choice("Alien Symbiote", 0.4, 0.6),
    Choice("Symbiote", 0.7, 0.35), Choice("Robot", 2, 0.35), Choice("Cosmic Being", 0.8, 4.0),
    Choice("Demon", 1.6, 2.0), Choice("Construct, born of magic", 0.3, 0.8), Choice('"Something else"', 1, 1.9),
    *(
        Choice(species + condition.text, condition.percent / len(SPECIES), condition.odds)
        for species in SPECIES
        for condition in CONDITIONS
    ),
)
"""Every rule of the column has a match, alone and where an earlier rule must win."""

ODD_FATES = (
    Choice("Alive (in exile)", 45), Choice("Alive (lost between worlds)", 20), Choice("Dead (by own account)", 15),
    Choice("Unknown", 15), Choice("", 5),
)
ODD_FATE_RATE = 0.003
"""Rare, as in the source. Most begin with 'Alive': only the whole cell may match."""

MAIN_UNIVERSE, MISSING_UNIVERSE = Choice("Earth-616", 33.3, 1.1), Choice("", 0.5)
FREQUENT_UNIVERSES, FREQUENT_UNIVERSES_PERCENT = 40, 20.0
"""Enough rows each to keep their names under the rule of 50, at 92,000 rows."""
RARE_UNIVERSES, RARE_UNIVERSE_ODDS = 6000, 0.8
"""They share the remaining rows, far below 50 each: together the largest category, 'Other'."""
UNIVERSE_ODDS = (0.25, 0.6, 1.0, 1.8, 4.0)
"""Assigned to the frequent universes in a cycle: survival depends on the universe, so its name must be kept."""

TEAM_RATE, TEAM_ODDS = 0.52, 0.5
"""Team members are less likely to be alive; half of the rows have the flag, so that it matters to the model."""
HEIGHT_RATE, WEIGHT_RATE, MEASURED_ODDS = 0.06, 0.05, 0.4
"""Every row with a weight has a height. Both are informative: such characters are less likely to be alive."""
CREATORS_RATE = 0.99
GIANT_RATE, GIANT_HEIGHT = 0.02, "304.8"
"""Of the heights. The source has it too: cleaning must not clip it."""
UNPARSEABLE_RATE = 0.02
UNPARSEABLE_HEIGHTS = ("Varies", "1,85", "6 ft", "~2.1", "1.9 m")
UNPARSEABLE_WEIGHTS = ("Varies", "90,5", "210 lbs", "~80", "1_000")
"""Of the heights and weights: texts that the engines' casts read differently."""

MISSING_MARKERS, MISSING_MARKER_RATE = ("N/A", "None", "NULL", "nan"), 0.01
"""Of the missing cells: enough to show a reader that takes only empty cells as missing."""
MISSING_ID_RATE = 0.0005
REPEATED_ID_RATE = 0.002
"""A repeated id has other cells the second time: it matters which row is kept."""
NAMES_PER_ROW = 0.8
"""Fewer names than rows, some far more frequent than others: one name occurs in many universes."""
SECOND_PART_RATE = 0.35
"""Chance that a cell lists a second team or creator, and then a third."""

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
