"""What a person reads of a model."""

from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.evaluation.gate import GateResult
from marvel_assets.evaluation.model_card import ModelCardData, model_card, with_full_links

FACTS = ModelCardData("m-1", DATASET, "t@v0", "s@v0", ["Height"], {}, {}, {}, ["roc_curve"], "r-1")
LINK = "get-artifact?path=plots%2Froc_curve.png&run_uuid=r-1"


def test_pictures_are_what_mlflows_server_hands_out_and_have_full_links_on_other_pages():
    # when
    card = model_card(FACTS, GateResult())

    # then
    assert f"![roc_curve]({LINK})" in card
    assert f"![roc_curve](http://127.0.0.1:5000/{LINK})" in with_full_links(card, "http://127.0.0.1:5000/")
