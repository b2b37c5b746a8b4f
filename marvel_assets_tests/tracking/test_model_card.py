"""What a person reads of a model."""

import mlflow
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import LoggedModelInput

from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.evaluation.gate import GateResult
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.delta_source import DeltaFolderSource
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets.tracking.model_card import model_card, with_full_links

MALICIOUS = "![x](https://evil.example/p.png)"


def test_a_card_names_the_rows_shows_tags_literally_and_its_pictures_have_full_links_on_other_pages(home: ProjectPaths):
    # given
    client = connect(home.mlflow_uri, home.locks)
    with mlflow.start_run(experiment_id=client.create_experiment("card", home.mlflow_artifacts.as_uri())) as run:
        tags = {"branch": MALICIOUS, "training_rows": "7"}
        logged = mlflow.initialize_logged_model("model", params={"features": "Height"}, tags=tags)
        for context, name, digest in (("training", "c.s.train_set", "v0-ab"), ("testing", "c.s.test_set", "v12-cd")):
            source = DeltaFolderSource(path="/warehouse", delta_table_version="0")
            mlflow.log_input(MetaDataset(source, name, digest), context, model=LoggedModelInput(logged.model_id))
        mlflow.log_text("", "plots/roc_curve.png")

    # when
    card = model_card(client, client.get_logged_model(logged.model_id), DATASET, GateResult())

    # then
    link = f"get-artifact?path=plots%2Froc_curve.png&run_uuid={run.info.run_id}"
    assert "fitted on c.s.train_set@v0 (7 rows), tested on c.s.test_set@v12" in card
    assert "://" not in card
    assert f"![roc_curve]({link})" in card
    assert f"![roc_curve](http://127.0.0.1:5000/{link})" in with_full_links(card, "http://127.0.0.1:5000/")
