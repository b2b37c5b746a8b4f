"""Planted models: what would write a marker file when it is loaded does not."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import skops.io
import yaml
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from marvel_assets.model.safe_loading import MODEL_FILE, UntrustedModelError, digest_of_files, load_trusted


class WritesAMarker:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.fixture
def model(basic_model: Path, tmp_path: Path) -> Path:
    """A copy of a basic model's folder."""
    return shutil.copytree(basic_model, tmp_path / "model")


def test_a_pickle_under_the_name_of_the_skops_file_is_never_read(model: Path, tmp_path: Path):
    # given
    marker = tmp_path / "marker"
    content = pickle.dumps(WritesAMarker(marker))
    (model / MODEL_FILE).write_bytes(content)

    # then
    with pytest.raises(UntrustedModelError, match=r"model.skops is not loaded: "):
        load_trusted(model)
    assert not marker.exists()
    pickle.loads(content)  # noqa: S301 - to see that it would do harm
    assert marker.exists(), "the planted model is harmless, so that this test can't fail"


def test_types_that_the_model_trusts_by_itself_are_not_constructed(model: Path):
    # given: a transformer that calls a function of ours, and an MLmodel file that says that this is fine
    skops.io.dump(Pipeline([("encode", FunctionTransformer(Path.touch))]), model / MODEL_FILE)
    content = yaml.safe_load((model / "MLmodel").read_text())
    content["flavors"]["sklearn"]["skops_trusted_types"] = skops.io.get_untrusted_types(file=model / MODEL_FILE)
    (model / "MLmodel").write_text(yaml.safe_dump(content))

    # then
    with pytest.raises(UntrustedModelError, match="pathlib"):
        load_trusted(model)


@pytest.mark.parametrize(
    ("change", "is_other"),
    [
        (lambda model: (model / "requirements.txt").write_text("lightgbm==0\n"), True),
        (lambda model: (model / "conda.yaml").rename(model / "mamba.yaml"), True),
        (lambda model: (model / "more").touch(), True),
        (lambda model: (model / "registered_model_meta").write_text("model_name: x"), False),
    ],
    ids=["content", "name", "more", "what MLflow adds on download"],
)
def test_the_digest_is_another_after_any_change_of_the_files(
    model: Path, change: Callable[[Path], object], *, is_other: bool
):
    # given
    before = digest_of_files(model)

    # when
    change(model)

    # then
    assert (digest_of_files(model) != before) is is_other
