"""FiveThirtyEight's table of 16,376 Marvel characters as of 2014 (CC BY 4.0), which needs no account."""

from marvel_assets.datasets.base import Dataset, Feature, Target

# fmt: off
DATASET = Dataset(
    package=__name__,
    schema_name="marvel_wikia_2014",
    source_columns={
        "page_id": "page_id", "name": "name", "urlslug": "urlslug", "ID": "ID", "ALIGN": "ALIGN", "EYE": "EYE",
        "HAIR": "HAIR", "SEX": "SEX", "GSM": "GSM", "ALIVE": "ALIVE", "APPEARANCES": "APPEARANCES",
        "FIRST APPEARANCE": "FIRST_APPEARANCE", "Year": "first_year",
    },
    identifier="page_id",
    display_name="name",
    description="Predicts whether a Marvel character was alive or dead in 2014 from what the Marvel Wikia said.",
    features=(
        Feature(name="Appearances", kind="number", source="APPEARANCES", examples=(4043, None), optional=True,
                description="Comic books that the character appeared in until 2014."),
        Feature(name="Year", kind="number", source="first_year", examples=(1962, None), optional=True,
                description="Year of the first appearance."),
        Feature(name="Identity", kind="text", source="ID", examples=("Secret", "Unknown"), missing="Unknown",
                has_slices=True, description="Secret, Public, No Dual, Known to Authorities or Unknown."),
        Feature(name="Align", kind="text", source="ALIGN", examples=("Good", "Bad"), missing="Unknown",
                has_slices=True, description="Good, Bad, Neutral or Unknown."),
        Feature(name="Eye", kind="text", source="EYE", examples=("Hazel", "Unknown"), missing="Unknown",
                description="Colour of the eyes, or Unknown."),
        Feature(name="Hair", kind="text", source="HAIR", examples=("Brown", "Unknown"), missing="Unknown",
                description="Colour of the hair, or Unknown."),
        Feature(name="Sex", kind="text", source="SEX", examples=("Male", "Female"), missing="Unknown",
                has_slices=True, description="Male, Female, Agender, Genderfluid or Unknown."),
        Feature(name="GSM", kind="text", source="GSM", examples=("Unknown", "Unknown"), missing="Unknown",
                description="Gender or sexual minority, where one was named, or Unknown."),
    ),
    target=Target(name="Alive", source="ALIVE", values=("Deceased Characters", "Living Characters"),
                  labels=("dead", "alive"), answer="Survival prediction"),
    sources={
        "wikia2014": "https://raw.githubusercontent.com/fivethirtyeight/data/master/comic-characters/marvel-wikia-data.csv"
    },
    default_source="wikia2014",
    limits=(
        "Three of four are alive, and much is missing: look at ROC AUC, balanced accuracy and log loss. It knows "
        "fiction only; it says nothing about people."
    ),
)
