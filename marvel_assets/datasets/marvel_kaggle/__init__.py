"""Kaggle's table of Marvel characters, about 92,600 of them: ``mohitbansal31s/marvel-characters``."""

from marvel_assets.datasets.base import Dataset, Feature, Target

# fmt: off
DATASET = Dataset(
    package=__name__,
    schema_name="marvel_characters",
    source_columns={
        "PageID": "PageID", "Name": "Name", "Universe": "Universe", "URL": "URL", "Identity": "Identity",
        "Gender": "Gender", "Alive": "Alive", "Marital Status": "Marital_Status", "Teams": "Teams",
        "Height (m)": "Height_m", "Weight (kg)": "Weight_kg", "Origin": "Origin", "Creators": "Creators",
    },
    identifier="PageID",
    display_name="Name",
    description="Predicts whether a Marvel character is alive or dead from what the Marvel Database says about them.",
    features=(
        Feature(name="Height", kind="number", source="Height_m", examples=(1.85, None), optional=True,
                description="Height in metres; missing where the source has no plain decimal number."),
        Feature(name="Weight", kind="number", source="Weight_kg", examples=(90.7, None), optional=True,
                description="Weight in kilograms; missing where the source has no plain decimal number."),
        Feature(name="Universe", kind="text", source="Universe", examples=("Earth-616", "Earth-1610"),
                missing="Unknown", has_slices=True, description="Universe, 'Unknown' where it is missing."),
        Feature(name="Identity", kind="text", source="Identity", examples=("Secret", "Unknown"),
                values=("Public", "Secret", "Unknown"), missing="Unknown", others="reject", has_slices=True,
                description="Public, Secret or Unknown."),
        Feature(name="Gender", kind="text", source="Gender", examples=("Male", "Female"),
                values=("Male", "Female", "Other"), missing="Other", others="missing", has_slices=True,
                description="Male, Female or Other."),
        Feature(name="Marital_Status", kind="text", source="Marital_Status", examples=("Single", "Unknown"),
                values=("Single", "Married", "Widowed", "Engaged", "Unknown"), spellings={"widow": "Widowed"},
                missing="Unknown", others="reject",
                description="Single, Married, Widowed, Engaged or Unknown."),
        Feature(name="Teams", kind="flag", source="Teams", examples=(1, 0), missing=0,
                description="1 where any team is named, else 0."),
        Feature(name="Origin", kind="text", source="Origin", examples=("Mutant", "Human"), missing="Other",
                values=("Human", "Mutant", "Asgardian", "Alien", "Symbiote", "Robot", "Cosmic Being", "Other"),
                description="Human, Mutant, Asgardian, Alien, Symbiote, Robot, Cosmic Being or Other."),
        Feature(name="Magic", kind="flag", source="Origin", examples=(0, 1), missing=0,
                description="1 where the origin mentions magic, else 0."),
        Feature(name="Mutant", kind="flag", source="Origin", examples=(1, 0), missing=0,
                description="1 where the origin mentions a mutate or mutant, else 0."),
    ),
    target=Target(name="Alive", source="Alive", values=("Dead", "Alive"), labels=("dead", "alive"),
                  answer="Survival prediction"),
    default_source="generated",
    limits=(
        "Heights and weights are missing for most, three of four are alive, and F1 alone rewards calling every one "
        "alive: look at ROC AUC, balanced accuracy and log loss. It knows fiction only; it says nothing about people."
    ),
)
