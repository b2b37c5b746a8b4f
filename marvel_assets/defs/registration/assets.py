"""From a logged model to a registered version, if it passes the gate."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from marvel_assets.defs.metadata import reported
from marvel_assets.defs.registration.challenger import BEST_SERVED, evaluate_challenger
from marvel_assets.defs.resources import Project
from marvel_assets.defs.retraining_lock import POOL, RetrainingLock
from marvel_assets.registry.base import ModelVersion
from marvel_assets.registry.model_pairs import ALIAS, ROLLBACK_REASON, ModelPair, ModelPairs
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.references import LoggedModelRef, ModelVersionRef, ReferenceIOManager
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.artifacts import FILES_DIGEST, metrics_of
from marvel_assets.tracking.mlflow_resource import INSPECTION, PASSED, MlflowTracking
from marvel_assets.tracking.run_tags import run_tags

GROUP = "registry"
GATE = "passes_the_gate"

JUDGED_AGAINST = "judged_against"
"""Tag of a basic version: the model that was served when it passed the gate; empty if there was none."""

mlflow_server = dg.AssetSpec(
    "mlflow_server",
    deps=["custom_model_version"],
    group_name=GROUP,
    kinds={"mlflow"},
    description="Where runs, models and versions are logged: MLflow in `MARVEL_HOME`, or `MLFLOW_TRACKING_URI`.",
)


@dg.asset(
    group_name=GROUP,
    kinds={"mlflow"},
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
    from marvel_assets.tracking.model_card import CARD_FILE, gate_report, model_card

    retraining_lock.acquire(context)
    inspection = tracking.tags_of(basic_model).get(INSPECTION, "not inspected yet")
    if inspection != PASSED:
        raise dg.Failure(
            f"{basic_model.model_id} is not registered: {inspection}. Materialise basic_model; its checks inspect it."
        )
    config, pairs = project.config, unity_catalog.pairs(project.config)
    for event in reconcile_and_report(context, pairs, tracking, references):
        context.log_event(event)
    result, registered, champion, best_id = evaluate_challenger(basic_model, project, tables, tracking, unity_catalog)
    metadata: dict[str, Any] = {
        "reason": result.reason,
        "gate": dg.MetadataValue.md(gate_report(result)),
        "champion": str(champion.basic.version) if champion else "none",
    }
    severity = dg.AssetCheckSeverity.WARN
    yield dg.AssetCheckResult(
        check_name=GATE, passed=result.passed, severity=severity, description=result.reason, metadata=metadata
    )
    passed = "passed with a warning" if result.warnings else "passed"
    verdict = passed if result.passed else "refused"
    context.instance.add_run_tags(context.run.run_id, {"gate": verdict})
    if not result.passed and (config.gate.mode == "enforce" or (registered and registered.tags.get(ROLLBACK_REASON))):
        refusal = f"Refused: {result.reason}"
        context.log.info(refusal)
        yield dg.AssetObservation("basic_model_version", description=refusal, metadata=metadata)
        return
    tags, card = {}, ""
    champion_id = champion.basic.model_id if champion else ""
    if champion_id != basic_model.model_id:
        client = tracking.client()
        logged = client.get_logged_model(basic_model.model_id)
        tags = {
            "gate": verdict,
            "roc_auc": f"{metrics_of(logged)['roc_auc']:.4f}",
            "train_set": logged.params["train_set"],
            BEST_SERVED: best_id,
            JUDGED_AGAINST: champion_id,
        }
        card = model_card(client, logged, config.dataset, result)
        client.log_text(basic_model.run_id, card, CARD_FILE)
    version = register(context, basic_model, pairs.basic_name, tracking, unity_catalog, tags, card)
    context.instance.add_run_tags(context.run.run_id, {"model": f"v{version.version}"})
    yield version_result(version, tracking, {**metadata, "unchanged": registered is not None})


def register(
    context: dg.AssetExecutionContext,
    model: LoggedModelRef,
    name: str,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
    tags: Mapping[str, str],
    card: str,
) -> ModelVersion:
    """Register a logged model, or find its version, which gets the tags and the card of the latest judgement."""
    registry = unity_catalog.registry()
    origin = {
        **run_tags(context.run.run_id),
        "model_id": model.model_id,
        "mlflow_run_id": model.run_id,
        FILES_DIGEST: tracking.tags_of(model)[FILES_DIGEST],
    }
    version = registry.register(name, model.model_id, {**tags, **origin}, description=card)
    tracking.tag_registered_version(model, name, version.version)
    if tags.items() <= version.tags.items():  # not judged again, and people may have added to the card
        return version
    registry.set_tags(name, version.version, tags, card)
    return registry.get_version(name, version.version) or version


def version_result(
    version: ModelVersion, tracking: MlflowTracking, metadata: Mapping[str, Any]
) -> dg.MaterializeResult[ModelVersionRef]:
    """The reference and metadata of a registered version."""
    from marvel_assets.tracking.model_card import with_full_links

    reference = ModelVersionRef(version.name, version.version, version.model_id)
    shown = {
        **metadata,
        "model": version.name,
        "version": version.version,
        "model_id": version.model_id,
        "mlflow_version": dg.MetadataValue.url(tracking.version_url(version.name, version.version)),
        "model_card": dg.MetadataValue.md(with_full_links(version.description, tracking.pages_url)),
        "tags": dg.MetadataValue.json(dict(version.tags)),
    }
    return dg.MaterializeResult(value=reference, data_version=dg.DataVersion(reference.data_version), metadata=shown)


def served_pair(pairs: ModelPairs) -> ModelPair:
    """The pair under the alias; a failure says what to materialise if there is none."""
    if pair := pairs.current():
        return pair
    missing = f"No version of {pairs.custom_name} has the alias {ALIAS} yet"
    raise dg.Failure(f"{missing}; materialise custom_model_version first.")


def reconcile_and_report(
    context: dg.AssetExecutionContext | dg.SensorEvaluationContext,
    pairs: ModelPairs,
    tracking: MlflowTracking,
    references: ReferenceIOManager,
) -> list[dg.AssetMaterialization]:
    """Reconcile the aliases; returns events if that, or a move that was not reported here, changed the served pair."""
    message, served = pairs.reconcile_aliases(), pairs.current()
    if served is None:
        return []
    if message is None:
        event = context.instance.get_latest_materialization_event(dg.AssetKey("custom_model_version"))
        before = reported(event)
        is_of_alias = (before.get("model"), before.get("alias")) == (served.custom.name, ALIAS)
        if not is_of_alias or before["version"] == served.custom.version:
            return []
        message = f"{ALIAS} is at {served} now: another home or a promotion moved it, or a job was killed"
    context.log.warning(message)
    return report_served(served, message, tracking, references)


def report_served(
    pair: ModelPair, message: str, tracking: MlflowTracking, references: ReferenceIOManager
) -> list[dg.AssetMaterialization]:
    """Store the served pair as both assets' output, which summary and scoring read; returns events to log."""
    events = []
    for asset, version in (("basic_model_version", pair.basic), ("custom_model_version", pair.custom)):
        key, result = dg.AssetKey(asset), version_result(version, tracking, {"reason": message, "alias": ALIAS})
        references.store(key, result.value)
        tags = {"dagster/data_version": result.value.data_version}
        events.append(dg.AssetMaterialization(key, description=message, metadata=result.metadata, tags=tags))
    return events
