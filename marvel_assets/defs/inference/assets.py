"""From a registered basic version to a custom model that any worker can load."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from marvel_assets.defs.inference.wheel import WheelBuilder
from marvel_assets.defs.registration.assets import GROUP, JUDGED_AGAINST, register, served_pair, version_result
from marvel_assets.defs.resources import Project
from marvel_assets.defs.retraining_lock import POOL, RetrainingLock
from marvel_assets.registry.model_pairs import ALIAS, BASIC_MODEL_ID, CUSTOM_MODEL, ROLLBACK_REASON, ModelPair
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.references import LoggedModelRef, ModelVersionRef, WheelRef
from marvel_assets.tracking.artifacts import example_answers
from marvel_assets.tracking.mlflow_resource import INSPECTED_IN, INSPECTION, PASSED, MlflowTracking
from marvel_assets.utils.code_versions import code_version, make_cache_key
from marvel_assets.utils.uv_settings import uv_settings

WRAP_CODE_VERSION = code_version("marvel_assets.model.serving_script", "marvel_assets.tracking.wrapper_logging")
SAME_ANSWERS = "answers_the_same_unwrapped"


@dg.asset(
    group_name=GROUP,
    kinds={"python"},
    automation_condition=dg.AutomationCondition.on_missing(),
    io_manager_key="references",
)
def inference_wheel(wheel_builder: WheelBuilder) -> dg.MaterializeResult[WheelRef]:
    """The wheel that scoring environments install: the model package alone, built once per content."""
    wheel = wheel_builder.wheel()
    file = wheel_builder.file_of(wheel)
    return dg.MaterializeResult(
        value=wheel,
        data_version=dg.DataVersion(wheel.content),
        metadata={"dagster/uri": file, "size_bytes": file.stat().st_size},
    )


@dg.asset(
    group_name=GROUP,
    kinds={"mlflow", "python"},
    code_version=WRAP_CODE_VERSION,
    io_manager_key="references",
    pool=POOL,
    check_specs=[
        dg.AssetCheckSpec(
            SAME_ANSWERS,
            asset="custom_model_version",
            description="pyfunc.predict(…) and unwrap_python_model().predict(…) give the same answers.",
        )
    ],
)
def custom_model_version(
    context: dg.AssetExecutionContext,
    basic_model_version: ModelVersionRef,
    inference_wheel: WheelRef,
    project: Project,
    tracking: MlflowTracking,
    wheel_builder: WheelBuilder,
    unity_catalog: UnityCatalog,
    retraining_lock: RetrainingLock,
) -> Iterator[dg.MaterializeResult[ModelVersionRef] | dg.AssetCheckResult]:
    """The basic version wrapped in MarvelModelWrapper, which answers with labels; the pair gets `latest-model`."""
    retraining_lock.acquire(context)
    reference, config, page = basic_model_version, project.config, "assets/custom_model_version"
    name, experiment, dataset = config.qualified(CUSTOM_MODEL), config.experiment_name_custom, config.dataset
    version = f"{reference.name} version {reference.version}"
    cache_key = make_cache_key(reference.model_id, inference_wheel.content, dataset.target, WRAP_CODE_VERSION)
    with tracking.lock(cache_key):
        logged = tracking.find_model(experiment, cache_key, name)
        is_new = logged is None
        if logged is None:
            from marvel_assets.tracking.wrapper_logging import CUSTOM_MODEL_NAME, log_custom_model

            context.log.info(f"Wrapping {version}")
            wheel, run_name = wheel_builder.file_of(inference_wheel), f"wraps basic version {reference.version}"
            tags = {**tracking.provenance_tags(page), "basic_model": reference.data_version, "wheel": wheel.name}
            with tracking.files_of(reference.model_id) as files, tracking.run(experiment, run_name, page) as run:
                model_id = log_custom_model(reference.model_id, files, wheel, dataset, tags)
                logged = LoggedModelRef(CUSTOM_MODEL_NAME, model_id, run.info.run_id, experiment)
                tracking.mark_complete(logged, cache_key)
    inspected = _inspect(context.run.run_id, logged, tracking)
    yield inspected
    if not inspected.passed:
        raise dg.Failure(
            f"{logged.model_id} is not registered: {SAME_ANSWERS} failed; see the checks of custom_model_version."
        )
    basic = unity_catalog.registry().get_version(reference.name, reference.version)
    if basic is None:
        raise dg.Failure(f"{version} is no longer in the catalog; materialise basic_model_version.")
    card = f"Wraps {version}; answers with labels.\n\n{basic.description}"
    copied = {"gate", "roc_auc", "train_set", JUDGED_AGAINST}  # change if the basic version was judged again
    tags = {tag: value for tag, value in basic.tags.items() if tag in copied} | {BASIC_MODEL_ID: basic.model_id}
    custom = register(context, logged, name, tracking, unity_catalog, tags, card)
    alias = _release(context, ModelPair(basic, custom), project, unity_catalog)
    yield version_result(custom, tracking, {"alias": alias, "unchanged": not is_new})


def _inspect(run_id: str, logged: LoggedModelRef, tracking: MlflowTracking) -> dg.AssetCheckResult:
    """The check of a custom model: each run verifies its files, and predicts with them until it passed once."""
    tags = tracking.tags_of(logged)
    with tracking.files_of(logged.model_id) as files:
        if tags.get(INSPECTION) == PASSED:
            inspected_in = {INSPECTED_IN: tags[INSPECTED_IN]}
            return dg.AssetCheckResult(check_name=SAME_ANSWERS, passed=True, metadata=inspected_in)
        wrapped, unwrapped = example_answers(files)
    if wrapped == unwrapped:
        tracking.tag_model(logged, {INSPECTION: PASSED, INSPECTED_IN: run_id})
    answers = {"pyfunc": dg.MetadataValue.json(wrapped), "unwrapped": dg.MetadataValue.json(unwrapped)}
    return dg.AssetCheckResult(check_name=SAME_ANSWERS, passed=wrapped == unwrapped, metadata=answers)


def _release(context: dg.AssetExecutionContext, pair: ModelPair, project: Project, unity_catalog: UnityCatalog) -> str:
    """Move the alias to the pair, unless a person must approve it; returns the pair's state in words."""
    pairs = unity_catalog.pairs(project.config)
    is_served = pairs.champion_model_id() == pair.basic.model_id
    if is_served and (reason := pair.custom.tags.get(ROLLBACK_REASON)):
        context.log.warning(f"{pairs.current()} stay {ALIAS}: custom version {pair.custom.version}: {reason}")
        return f"not {ALIAS}: {reason}"
    if project.config.gate.approval == "manual" and not is_served:
        context.log.info(f"{pair} wait for approval: marvel approve --set basic_version={pair.basic.version}")
        return f"waits for approval to be {ALIAS}"
    is_new = pairs.set_aliases(pair, pair.basic.tags.get(JUDGED_AGAINST, ""))
    context.log.info(f"{ALIAS}: {pair} ({'new' if is_new else 'unchanged'})")
    return ALIAS


@dg.op
def verify_environment(context: dg.OpExecutionContext, project: Project, unity_catalog: UnityCatalog) -> None:
    """Install the custom model's requirements into a new environment, and compare its predictions there and here."""
    custom = served_pair(unity_catalog.pairs(project.config)).custom
    uri = f"models:/{custom.name}/{custom.version}"
    context.log.info(f"Creating an environment with the requirements of {uri}")
    with unity_catalog.files_of(custom) as files:
        there, (here, _) = predict_in_own_environment(files), example_answers(files)
    if there != here:
        raise dg.Failure(
            f"{uri} answers {there} in an environment with its own requirements, and {here} in this one; compare the "
            "versions in its requirements.txt with those installed here."
        )
    context.log.info(f"{uri} answers {there} there, and the same here")


def predict_in_own_environment(files: Path) -> Any:  # noqa: ANN401 - the model's answer
    """A model's answer for its input example, in a new environment that has only its own requirements."""
    with tempfile.TemporaryDirectory() as folder:  # empty, as is PYTHONPATH: this project can't be imported
        command = [
            sys.executable, "-m", "mlflow", "models", "predict", "--env-manager", "uv", "--model-uri", str(files),
            "--input-path", str(files / "serving_input_example.json"), "--output-path", "answer.json",
        ]  # fmt: skip
        # uv creates environments only from a base Python, which need not be on the PATH.
        path = [str(Path(sys.executable).parent), str(Path(sys.base_prefix, "bin")), os.environ.get("PATH", "")]
        settings = uv_settings(Path(sys.executable), Path(folder, "uv")) | {"PYTHONPATH": ""}
        environment = {**os.environ, **settings, "PATH": os.pathsep.join(path)}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            printed = (done.stdout + done.stderr)[-4000:]
            raise dg.Failure(
                f"The model can't be installed from its own requirements, or does not predict there:\n{printed}"
            )
        return json.loads(Path(folder, "answer.json").read_text(encoding="utf-8"))["predictions"]


@dg.job(description="Predict with the custom model in a clean environment made from its own requirements.")
def verify_scoring_environment() -> None:
    """Run it on demand: creating the environment takes a minute."""
    verify_environment()
