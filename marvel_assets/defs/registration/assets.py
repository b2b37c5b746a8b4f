"""From a logged model to a registered version, if it passes the gate."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from marvel_assets.defs.metadata import FRESHNESS_POLICY, OWNERS
from marvel_assets.defs.registration.challenger import BEST_SERVED, Baselines, evaluate_challenger_cached
from marvel_assets.defs.resources import Project
from marvel_assets.defs.retraining_lock import POOL, RetrainingLock
from marvel_assets.evaluation.gate import CHAMPION, GateResult
from marvel_assets.registry.base import ModelVersion
from marvel_assets.registry.model_pairs import ALIAS, BASIC_MODEL, ROLLBACK_REASON, ModelPair, ModelPairs
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.io_managers import ReferenceIOManager
from marvel_assets.storage.references import LoggedModelRef, ModelVersionRef
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.artifacts import FILES_DIGEST
from marvel_assets.tracking.mlflow_resource import INSPECTION, PASSED, MlflowTracking
from marvel_assets.tracking.run_tags import RunTags

GROUP = "registry"
GATE = "passes_the_gate"

JUDGED_AGAINST = "judged_against"
"""Tag of a basic version: the model that was served when it passed the gate, if there was one."""

READABLE_TAGS = ("gate", "roc_auc", "train_set")
"""Tags by which people compare versions."""

MODEL_ID = "model_id"
"""Tag of every version that this project registered: its logged model."""

Metadata = Mapping[str, dg.MetadataValue[Any] | str | float]

mlflow_server = dg.AssetSpec(
    "mlflow_server",
    deps=["custom_model_version"],
    group_name=GROUP,
    kinds={"mlflow"},
    owners=OWNERS,
    description="Where runs, models and versions are logged: MLflow in `MARVEL_HOME`, or `MLFLOW_TRACKING_URI`.",
)


@dg.asset(
    group_name=GROUP,
    kinds={"mlflow"},
    owners=OWNERS,
    freshness_policy=FRESHNESS_POLICY,
    code_version="2",
    io_manager_key="references",
    pool=POOL,
    output_required=False,
    check_specs=[
        dg.AssetCheckSpec(
            GATE,
            asset="basic_model_version",
            description="Exceeds the thresholds overall and on every large slice; not worse than the champion.",
        )
    ],
)
def basic_model_version(
    context: dg.AssetExecutionContext,
    basic_model: LoggedModelRef,
    project: Project,
    tables: Tables,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
    references: dg.ResourceParam[ReferenceIOManager],
    retraining_lock: RetrainingLock,
) -> Iterator[dg.MaterializeResult[ModelVersionRef] | dg.AssetObservation | dg.AssetCheckResult]:
    """The basic model as a registered version. A model that the gate refuses is not registered."""
    from marvel_assets.evaluation.model_card import CARD_FILE, gate_report, model_card

    retraining_lock.acquire(context)
    inspection = tracking.tags_of(basic_model).get(INSPECTION, "not inspected yet")
    if inspection != PASSED:
        raise dg.Failure(
            f"{basic_model.model_id} is not registered: {inspection}. Materialise basic_model; its checks inspect it.",
            allow_retries=False,
        )
    name, gate = project.config.qualified(BASIC_MODEL), project.config.gate
    registry, pairs = unity_catalog.registry(), unity_catalog.pairs(project.config)
    for event in reconcile_and_report(context, pairs, tracking, references):
        context.log_event(event)
    baselines = Baselines.find(pairs, registry)
    champion_id = baselines.champion.basic.model_id if baselines.champion else ""
    known = next(iter(registry.search_versions(name, model_id=basic_model.model_id)), None)
    result = evaluate_challenger_cached(
        context, basic_model, known, baselines, project, tables, tracking, unity_catalog
    )
    metadata: dict[str, dg.MetadataValue[Any] | str | float] = {
        "reason": result.reason,
        "gate": dg.MetadataValue.md(gate_report(result)),
        "champion": str(baselines.champion.basic.version) if baselines.champion else "none",
        "mode": gate.mode,
        **({} if champion_id == basic_model.model_id else _figures(result)),
    }
    yield dg.AssetCheckResult(
        asset_key="basic_model_version",
        check_name=GATE,
        passed=result.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=result.reason,
        metadata=metadata,
    )
    for warning in result.warnings:
        context.log.warning(warning)
    verdict = "refused" if not result.passed else "passed with a warning" if result.warnings else "passed"
    context.instance.add_run_tags(context.run.run_id, {"gate": verdict})
    is_rolled_back = known is not None and bool(known.tags.get(ROLLBACK_REASON))
    if not result.passed and (gate.mode == "enforce" or is_rolled_back):
        context.log.info(f"Refused: {result.reason}")
        yield from _refused(context, f"Refused: {result.reason}", metadata)
        return
    inputs = tracking.model_card_inputs(basic_model, project.config.dataset)
    card = model_card(inputs, result)
    if known is None:
        tracking.client().log_text(basic_model.run_id, card, CARD_FILE)
    tags: dict[str, str] = {}
    if champion_id != basic_model.model_id:
        tags = {
            "gate": verdict,
            "roc_auc": f"{inputs.metrics['roc_auc']:.4f}",
            "train_set": inputs.trained_on.rpartition("@")[2].partition(" ")[0],
            BEST_SERVED: baselines.best_with(basic_model.model_id, result),
        }
        if champion_id or (known is not None and JUDGED_AGAINST in known.tags):
            tags[JUDGED_AGAINST] = champion_id
    version = register(context, basic_model, name, tracking, unity_catalog, tags, card)
    tracking.tag_registered_version(basic_model, version.version)
    context.instance.add_run_tags(context.run.run_id, {"model": f"v{version.version}"})
    yield version_result(context, basic_model, version, tracking, is_new=known is None, metadata=metadata)


def _refused(context: dg.AssetExecutionContext, description: str, metadata: Metadata) -> Iterator[dg.AssetObservation]:
    """Report a refusal; the output is withheld.

    The asset's page shows the metadata of its latest materialization. So an earlier version is reported again as
    unchanged, with its own data version and the reason for the refusal.
    """
    yield dg.AssetObservation("basic_model_version", description=description, metadata=metadata)
    event = context.instance.get_latest_materialization_event(context.asset_key)
    if event and (before := event.asset_materialization):
        context.log_event(
            dg.AssetMaterialization(
                before.asset_key,
                description=description,
                metadata={**before.metadata, **metadata, "unchanged": True},
                tags=before.tags,
            )
        )


def _figures(result: GateResult) -> dict[str, float]:
    """The numbers of the comparison with the champion, which Dagster plots over time."""
    comparison = next((each for each in result.comparisons if each.baseline_name == CHAMPION), None)
    if comparison is None:
        return {}
    return {
        "challenger_roc_auc": comparison.candidate,
        "champion_roc_auc": comparison.baseline,
        "difference_low": comparison.low,
        "difference_high": comparison.high,
    }


def register(
    context: dg.AssetExecutionContext,
    model: LoggedModelRef,
    name: str,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
    tags: Mapping[str, str],
    description: str,
) -> ModelVersion:
    """Register a logged model, with its provenance and the digest of its files. No alias moves here.

    Idempotent: the same model gets no second version, and an existing version gets the tags that it lacks.
    """
    registry = unity_catalog.registry()
    traces = {
        **RunTags.collect(context.run.run_id).as_tags(context.run.run_id),
        MODEL_ID: model.model_id,
        "mlflow_run_id": model.run_id,
        FILES_DIGEST: tracking.digest_of(model.model_id),
    }
    registered = registry.register(name, model.model_id, {**tags, **traces}, description=description)
    if not tags.items() <= registered.tags.items():
        registry.set_tags(name, registered.version, tags)
        return registry.get_version(name, registered.version) or registered
    return registered


def version_result(
    context: dg.AssetExecutionContext,
    model: LoggedModelRef,
    version: ModelVersion,
    tracking: MlflowTracking,
    *,
    is_new: bool,
    metadata: Metadata,
) -> dg.MaterializeResult[ModelVersionRef]:
    """The reference and metadata of a registered version."""
    reference = ModelVersionRef(version.name, version.version, model.model_id, ALIAS)
    context.log.info(f"{version.name} version {version.version} ({'new' if is_new else 'unchanged'})")
    return dg.MaterializeResult(
        value=reference,
        data_version=dg.DataVersion(reference.data_version),
        metadata={**metadata, **version_metadata(version, tracking), "unchanged": not is_new},
    )


def version_metadata(version: ModelVersion, tracking: MlflowTracking) -> dict[str, dg.MetadataValue[Any] | str | int]:
    """The metadata of a version's asset."""
    from marvel_assets.evaluation.model_card import with_full_links

    return {
        "model": version.name,
        "version": version.version,
        "status": version.status,
        "model_id": version.model_id,
        "mlflow_version": dg.MetadataValue.url(tracking.version_url(version.name, version.version)),
        "model_card": dg.MetadataValue.md(with_full_links(version.description, tracking.pages_url)),
        "tags": dg.MetadataValue.json(dict(version.tags)),
    }


def reconcile_and_report(
    context: dg.AssetExecutionContext | dg.SensorEvaluationContext,
    pairs: ModelPairs,
    tracking: MlflowTracking,
    references: ReferenceIOManager,
) -> list[dg.AssetMaterialization]:
    """Reconcile the aliases; returns events if that, or a move that was not reported here, changed the served pair.

    Not reported here are moves by another home, by the job promote, and by a job that was killed before it reported.
    """
    reconciled, served = pairs.reconcile_aliases(), pairs.current()
    if served is None:
        return []
    event = context.instance.get_latest_materialization_event(dg.AssetKey("custom_model_version"))
    metadata = event.asset_materialization.metadata if event and event.asset_materialization else {}
    shown = {name: value.value for name, value in metadata.items()}
    is_shown_as_served = shown.get("alias") == ALIAS and shown["model"] == served.custom.name
    if reconciled:
        message = str(reconciled)
    elif is_shown_as_served and shown["version"] != served.custom.version:
        message = f"{ALIAS} is at {served} now: another home or a promotion moved it, or a job was killed"
    else:
        return []
    context.log.warning(message)
    return report_served(served, message, tracking, references)


def report_served(
    pair: ModelPair, message: str, tracking: MlflowTracking, references: ReferenceIOManager
) -> list[dg.AssetMaterialization]:
    """Store the served pair as both assets' output, which summary and scoring read; returns events to log."""
    events = []
    for asset, version in (("basic_model_version", pair.basic), ("custom_model_version", pair.custom)):
        key, reference = dg.AssetKey(asset), ModelVersionRef(version.name, version.version, version.model_id, ALIAS)
        references.store(key, reference)
        events.append(
            dg.AssetMaterialization(
                key,
                description=message,
                metadata={**version_metadata(version, tracking), "reason": message, "alias": ALIAS},
                tags={"dagster/data_version": reference.data_version},
            )
        )
    return events
