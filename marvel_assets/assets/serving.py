"""From a registered basic version to a custom model that any worker can load."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from marvel_assets.assets.code_versions import recipe_of, version_of
from marvel_assets.assets.descriptions import OWNERS
from marvel_assets.assets.registry import register
from marvel_assets.config import Tags
from marvel_assets.references import LoggedModelRef, ModelVersionRef, WheelRef
from marvel_assets.resources.project import Project
from marvel_assets.resources.tracking import MlflowTracking
from marvel_assets.resources.unity_catalog.resource import UnityCatalog
from marvel_assets.resources.wheel_builder import WheelBuilder

GROUP = "serving"
CUSTOM_MODEL = "marvel_character_model_custom"
WRAPS = "basic_model_id"
"""Tag of a custom version: the logged model that it wraps."""

WRAP_CODE = version_of(
    "survival/serving_model.py", "survival/signature.py", "survival/wrapper.py", "survival/wrapper_logging.py"
)

UNWRAPPED = "answers_the_same_unwrapped"
WRAPS_THE_ALIAS = "wraps_the_basic_version_under_the_alias"


@dg.asset(
    group_name=GROUP,
    kinds={"python"},
    owners=OWNERS,
    io_manager_key="references",
)
def inference_wheel(context: dg.AssetExecutionContext, wheel_builder: WheelBuilder) -> dg.MaterializeResult[WheelRef]:
    """The wheel that scoring environments install: the domain and its base dependencies, built once per content."""
    wheel = wheel_builder.wheel()
    context.log.info(f"Wheel {Path(wheel.path).name}")
    return dg.MaterializeResult(
        value=wheel,
        data_version=dg.DataVersion(wheel.data_version),
        metadata={
            "dagster/uri": dg.MetadataValue.path(wheel.path),
            "sha256": wheel.sha256,
            "size_bytes": Path(wheel.path).stat().st_size,
        },
    )


@dg.asset(
    group_name=GROUP,
    kinds={"mlflow", "python"},
    owners=OWNERS,
    code_version=WRAP_CODE,
    io_manager_key="references",
    check_specs=[
        dg.AssetCheckSpec(
            UNWRAPPED,
            asset="custom_model_version",
            description="unwrap_python_model().predict(context=None, …) and pyfunc.predict(…) agree, in words.",
        ),
        dg.AssetCheckSpec(
            WRAPS_THE_ALIAS,
            asset="custom_model_version",
            description="The model inside is the basic version under the alias.",
        ),
    ],
)
def custom_model_version(
    context: dg.AssetExecutionContext,
    basic_model_version: ModelVersionRef,
    inference_wheel: WheelRef,
    project: Project,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
) -> Iterator[dg.MaterializeResult[ModelVersionRef] | dg.AssetCheckResult]:
    """The basic version inside MarvelModelWrapper, which answers in words, as a version under latest-model."""
    experiment = project.config.experiment_name_custom
    recipe = recipe_of(basic_model_version.model_id, inference_wheel.content, WRAP_CODE)
    with tracking.making(recipe):
        logged = tracking.find_model(experiment, recipe)
        if logged is None:
            context.log.info(f"Wrapping {basic_model_version.name} version {basic_model_version.version}")
            logged = _wrap(context, basic_model_version, inference_wheel, project, tracking, recipe)

    verdicts = [_answers_the_same(logged, project), _wraps_the_alias(logged, basic_model_version, unity_catalog)]
    yield from verdicts
    failed = [verdict.check_name for verdict in verdicts if not verdict.passed]
    if failed:
        raise dg.Failure(
            f"{logged.model_id} is not registered: {', '.join(map(str, failed))} failed; see the checks of "
            "custom_model_version.",
            allow_retries=False,
        )
    wraps = {WRAPS: basic_model_version.model_id}
    yield register(context, logged, project.config.qualified(CUSTOM_MODEL), tracking, unity_catalog, wraps)


def _wrap(
    context: dg.AssetExecutionContext,
    basic: ModelVersionRef,
    wheel: WheelRef,
    project: Project,
    tracking: MlflowTracking,
    recipe: str,
) -> LoggedModelRef:
    from marvel_assets.survival.wrapper_logging import CUSTOM_MODEL_NAME, log_custom_model

    experiment, tags = project.config.experiment_name_custom, Tags.collect(context.run_id)
    with tracking.run(experiment, tags) as run:
        model_id = log_custom_model(
            basic.model_id,
            Path(wheel.path),
            features=project.config.features,
            tags={**tags.as_dict(), "basic_model": f"{basic.name}/{basic.version}", "wheel": Path(wheel.path).name},
        )
        return tracking.complete_model(LoggedModelRef(CUSTOM_MODEL_NAME, model_id, run.info.run_id, experiment), recipe)


def _answers_the_same(logged: LoggedModelRef, project: Project) -> dg.AssetCheckResult:
    from marvel_assets.survival.inspection import answers_of

    wrapped, unwrapped = answers_of(logged.uri, project.config.features)
    return dg.AssetCheckResult(
        asset_key="custom_model_version",
        check_name=UNWRAPPED,
        passed=wrapped == unwrapped,
        metadata={"pyfunc": dg.MetadataValue.json(wrapped), "unwrapped": dg.MetadataValue.json(unwrapped)},
    )


def _wraps_the_alias(
    logged: LoggedModelRef, basic: ModelVersionRef, unity_catalog: UnityCatalog
) -> dg.AssetCheckResult:
    from marvel_assets.survival.wrapper_logging import wrapped_model

    current = unity_catalog.catalog().version_under(basic.name, basic.alias)
    expected = None if current is None else f"models:/{current.model_id}"
    found = wrapped_model(logged.uri)
    return dg.AssetCheckResult(
        asset_key="custom_model_version",
        check_name=WRAPS_THE_ALIAS,
        passed=found == expected,
        metadata={"wrapped": found, "under_the_alias": str(expected)},
    )
