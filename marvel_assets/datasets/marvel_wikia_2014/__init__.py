"""FiveThirtyEight's table of 16,376 Marvel characters as of 2014 (CC BY 4.0), which needs no account."""

from marvel_assets.datasets.base import Dataset, Feature, Target

DATASET = Dataset(
    package=__name__,
    schema_name="marvel_wikia_2014",
    source_columns={
        "page_id": "page_id",
        "name": "name",
        "urlslug": "urlslug",
        "ID": "ID",
        "ALIGN": "ALIGN",
        "EYE": "EYE",
        "HAIR": "HAIR",
        "SEX": "SEX",
        "GSM": "GSM",
        "ALIVE": "ALIVE",
        "APPEARANCES": "APPEARANCES",
        "FIRST APPEARANCE": "FIRST_APPEARANCE",
        "Year": "first_year",
    },
    identifier="page_id",
    display_name="name",
    description="Predicts whether a Marvel character was alive or dead in 2014 from what the Marvel Wikia said.",
    features=(
        Feature(
            name="Appearances",
            kind="number",
            source="APPEARANCES",
            description="Comic books that the character appeared in until 2014.",
            examples=(4043, None),
            optional=True,
        ),
        Feature(
            name="Year",
            kind="number",
            source="first_year",
            description="Year of the first appearance.",
            examples=(1962, None),
            optional=True,
        ),
        Feature(
            name="Identity",
            kind="text",
            source="ID",
            description="Secret, Public, No Dual, Known to Authorities or Unknown.",
            examples=("Secret", "Unknown"),
            missing="Unknown",
            has_slices=True,
        ),
        Feature(
            name="Align",
            kind="text",
            source="ALIGN",
            description="Good, Bad, Neutral or Unknown.",
            examples=("Good", "Bad"),
            missing="Unknown",
            has_slices=True,
        ),
        Feature(
            name="Eye",
            kind="text",
            source="EYE",
            description="Colour of the eyes, or Unknown.",
            examples=("Hazel", "Unknown"),
            missing="Unknown",
        ),
        Feature(
            name="Hair",
            kind="text",
            source="HAIR",
            description="Colour of the hair, or Unknown.",
            examples=("Brown", "Unknown"),
            missing="Unknown",
        ),
        Feature(
            name="Sex",
            kind="text",
            source="SEX",
            description="Male, Female, Agender, Genderfluid or Unknown.",
            examples=("Male", "Female"),
            missing="Unknown",
            has_slices=True,
        ),
        Feature(
            name="GSM",
            kind="text",
            source="GSM",
            description="Gender or sexual minority, where one was named, or Unknown.",
            examples=("Unknown", "Unknown"),
            missing="Unknown",
        ),
    ),
    target=Target(
        name="Alive",
        source="ALIVE",
        values=("Deceased Characters", "Living Characters"),
        labels=("dead", "alive"),
        answer="Survival prediction",
    ),
    sources={
        "wikia2014": "https://raw.githubusercontent.com/fivethirtyeight/data/master/comic-characters/marvel-wikia-data.csv"
    },
    default_source="wikia2014",
    limits=(
        "Three of four are alive, and much is missing: look at ROC AUC, balanced accuracy and log loss. It knows "
        "fiction only; it says nothing about people."
    ),
)
