"""From a registered basic version to a custom model that any worker can load."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from marvel_assets.defs.inference.wheel import WheelBuilder
from marvel_assets.defs.metadata import FRESHNESS_POLICY, OWNERS
from marvel_assets.defs.registration.assets import GROUP, JUDGED_AGAINST, READABLE_TAGS, register, version_result
from marvel_assets.defs.resources import Project
from marvel_assets.defs.retraining_lock import POOL, RetrainingLock
from marvel_assets.registry.base import ModelVersion
from marvel_assets.registry.model_pairs import (
    ALIAS,
    BASIC_MODEL_ID,
    CUSTOM_MODEL,
    ROLLBACK_REASON,
    ModelPair,
    StalePairError,
)
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.references import LoggedModelRef, ModelVersionRef, WheelRef
from marvel_assets.tracking.mlflow_resource import INSPECTED_IN, INSPECTION, PASSED, MlflowTracking
from marvel_assets.tracking.run_tags import RunTags
from marvel_assets.utils.code_versions import code_version, make_cache_key

WRAP_CODE_VERSION = code_version("marvel_assets.model.serving_script", "marvel_assets.tracking.wrapper_logging")

UNWRAPPED = "answers_the_same_unwrapped"


@dg.asset(
    group_name=GROUP,
    kinds={"python"},
    owners=OWNERS,
    automation_condition=dg.AutomationCondition.on_missing(),
    io_manager_key="references",
)
def inference_wheel(context: dg.AssetExecutionContext, wheel_builder: WheelBuilder) -> dg.MaterializeResult[WheelRef]:
    """The wheel that scoring environments install: the model package alone, built once per content."""
    wheel = wheel_builder.wheel()
    file = wheel_builder.file_of(wheel)
    context.log.info(f"Wheel {file.name}")
    return dg.MaterializeResult(
        value=wheel,
        data_version=dg.DataVersion(wheel.data_version),
        metadata={
            "dagster/uri": dg.MetadataValue.path(file),
            "sha256": wheel.sha256,
            "size_bytes": file.stat().st_size,
        },
    )


@dg.asset(
    group_name=GROUP,
    kinds={"mlflow", "python"},
    owners=OWNERS,
    freshness_policy=FRESHNESS_POLICY,
    code_version=WRAP_CODE_VERSION,
    io_manager_key="references",
    pool=POOL,
    check_specs=[
        dg.AssetCheckSpec(
            UNWRAPPED,
            asset="custom_model_version",
            description="unwrap_python_model().predict(context=None, …) and pyfunc.predict(…) agree.",
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
    experiment, dataset = project.config.experiment_name_custom, project.config.dataset
    cache_key = make_cache_key(basic_model_version.model_id, inference_wheel.content, dataset.target, WRAP_CODE_VERSION)
    with tracking.lock(cache_key):
        logged = tracking.find_model(experiment, cache_key)
        is_new = logged is None
        if logged is None:
            context.log.info(f"Wrapping {basic_model_version.name} version {basic_model_version.version}")
            wheel = wheel_builder.file_of(inference_wheel)
            logged = _wrap(context, basic_model_version, wheel, project, tracking, cache_key)

    verdict = _inspected(context, logged, tracking)
    yield verdict
    if not verdict.passed:
        raise dg.Failure(
            f"{logged.model_id} is not registered: {UNWRAPPED} failed; see the checks of custom_model_version.",
            allow_retries=False,
        )
    basic = _basic_version(basic_model_version, unity_catalog)
    card = f"Wraps {basic.name} version {basic.version}; answers with labels.\n\n{basic.description}"
    wraps = {BASIC_MODEL_ID: basic.model_id} | {tag: basic.tags[tag] for tag in READABLE_TAGS if tag in basic.tags}
    custom = register(context, logged, project.config.qualified(CUSTOM_MODEL), tracking, unity_catalog, wraps, card)
    tracking.tag_registered_version(logged, custom.version)
    released = _release(context, ModelPair(basic, custom), project, unity_catalog)
    yield version_result(context, logged, custom, tracking, is_new=is_new, metadata={"alias": released})


def _inspected(
    context: dg.AssetExecutionContext, logged: LoggedModelRef, tracking: MlflowTracking
) -> dg.AssetCheckResult:
    """The check of a custom model: each run verifies its files, and predicts with them until it passed once."""
    tags = tracking.tags_of(logged)
    with tracking.files_of(logged.model_id) as files:
        if tags.get(INSPECTION) == PASSED:
            return dg.AssetCheckResult(check_name=UNWRAPPED, passed=True, metadata={INSPECTED_IN: tags[INSPECTED_IN]})
        verdict = _answers_the_same(files)
    if verdict.passed:
        tracking.tag_model(logged, {INSPECTION: PASSED, INSPECTED_IN: context.run.run_id})
    return verdict


def _basic_version(reference: ModelVersionRef, unity_catalog: UnityCatalog) -> ModelVersion:
    if version := unity_catalog.registry().get_version(reference.name, reference.version):
        return version
    raise dg.Failure(
        f"{reference.name} version {reference.version} is no longer in the catalog; materialise basic_model_version.",
        allow_retries=False,
    )


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
    try:
        is_new = pairs.set_aliases(pair, pair.basic.tags.get(JUDGED_AGAINST, ""))
    except StalePairError as error:
        raise dg.Failure(str(error)) from error
    context.log.info(f"{ALIAS}: {pair} ({'new' if is_new else 'unchanged'})")
    return ALIAS


def _wrap(
    context: dg.AssetExecutionContext,
    basic: ModelVersionRef,
    wheel: Path,
    project: Project,
    tracking: MlflowTracking,
    cache_key: str,
) -> LoggedModelRef:
    from marvel_assets.model.safe_loading import load_trusted
    from marvel_assets.tracking.wrapper_logging import CUSTOM_MODEL_NAME, log_custom_model

    experiment, tags = project.config.experiment_name_custom, RunTags.collect(context.run.run_id)
    page = "assets/custom_model_version"
    with (
        tracking.files_of(basic.model_id) as files,
        tracking.run(experiment, tags, f"wraps basic version {basic.version}", page) as run,
    ):
        load_trusted(files)  # fails before a model is wrapped that can't be served
        model_id = log_custom_model(
            basic.model_id,
            files,
            wheel,
            run_id=run.info.run_id,
            dataset=project.config.dataset,
            tags={
                **tags.as_tags(context.run.run_id),
                **tracking.description(page),
                "basic_model": f"{basic.name}/{basic.version}",
                "wheel": wheel.name,
            },
        )
        return tracking.mark_complete(
            LoggedModelRef(CUSTOM_MODEL_NAME, model_id, run.info.run_id, experiment), cache_key
        )


def _answers_the_same(files: Path) -> dg.AssetCheckResult:
    from marvel_assets.tracking.artifacts import answers_of

    wrapped, unwrapped = answers_of(files)
    answers = {"pyfunc": dg.MetadataValue.json(wrapped), "unwrapped": dg.MetadataValue.json(unwrapped)}
    return dg.AssetCheckResult(check_name=UNWRAPPED, passed=wrapped == unwrapped, metadata=answers)
