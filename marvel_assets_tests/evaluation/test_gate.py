"""The gate: planted challengers end as they should, whatever the seed."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, bootstrap
from sklearn.metrics import roc_auc_score

from marvel_assets.config import Gate
from marvel_assets.evaluation.gate import Comparison, GateResult, compare, evaluate_gate
from marvel_assets.evaluation.metrics import paired_difference
from marvel_assets.tracking.model_card import gate_report
from marvel_assets_tests.faults import amount

SEEDS = range(amount(4, 20))
ROWS = 4000
GATE = Gate()
GOOD, FAIR, POOR = 0.8, 1.5, 6.0
"""Noise of a model's view of what decides."""

EQUAL_CHALLENGERS = amount(100, 500)


class World:
    """Characters whose fate is decided by one hidden number, and models that see it with noise."""

    def __init__(self, seed: int, rows: int = ROWS) -> None:
        self._random = np.random.default_rng(seed)
        self._hidden = self._random.normal(size=rows)
        self.alive = (self._random.random(rows) < 1 / (1 + np.exp(-1.1 - 1.5 * self._hidden))).astype(int)
        genders, universes = ["Male", "Female", "Other"], ["Earth-616", "Other", "Earth-1"]
        self.rows = pd.DataFrame(
            {
                "Gender": self._random.choice(genders, rows, p=[0.6, 0.3, 0.1]),
                "Universe": self._random.choice(universes, rows, p=[0.5, 0.48, 0.02]),
            }
        )

    def model(self, noise: float) -> np.ndarray:
        """Calibrated probabilities of a model that sees the hidden number with this much noise."""
        seen = (self._hidden + noise * self._random.normal(size=len(self.alive))) / (1 + noise**2)
        return 1 / (1 + np.exp(-1.0 - 1.3 * seen))

    def gate(
        self, candidate: np.ndarray, thresholds: Gate = GATE, note: str = "", **baselines: np.ndarray
    ) -> GateResult:
        return evaluate_gate(self.rows, self.alive, candidate, baselines, thresholds, note=note)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_better_challenger_passes_and_a_worse_one_is_refused_with_both_figures(seed: int):
    # given
    world = World(seed)
    good, fair = world.model(GOOD), world.model(FAIR)

    # when
    better = world.gate(good, champion=fair)
    worse = world.gate(fair, champion=good)

    # then
    assert better.passed, better.reason
    assert better.comparisons[0].low > 0
    assert not worse.passed
    assert worse.reason.startswith(f"ROC AUC {worse.comparisons[0].candidate:.3f}, champion ")
    assert worse.comparisons[0].high < 0


def test_an_equal_challenger_is_wholly_below_zero_as_seldom_as_the_interval_says():
    # given
    worlds = [World(1000 + seed, rows=1500) for seed in range(EQUAL_CHALLENGERS)]

    # when
    below = sum(compare(world.alive, world.model(FAIR), world.model(FAIR), GATE).high < 0 for world in worlds)

    # then: half of what the interval leaves out, within what chance allows in 999 of 1,000 such series
    least, most = binom.interval(0.999, EQUAL_CHALLENGERS, (1 - GATE.confidence) / 2)
    assert least <= below <= most


@pytest.mark.parametrize(
    ("comparison", "failure"),
    [
        (Comparison(0.694, 0.700, -0.020, 0.008, rows=300), "a loss of more than 0.005 (gate.max_roc_auc_loss)"),
        (Comparison(0.698, 0.700, -0.003, -0.001, rows=90_000), "the whole interval is below zero"),
        (Comparison(0.696, 0.700, -0.020, 0.012, rows=300), None),
    ],
)
def test_a_loss_beyond_the_margin_and_a_certain_loss_are_refused(comparison: Comparison, failure: str | None):
    assert comparison.failure(0.005) == (failure and f"{comparison}: {failure}")


def test_a_comparison_reads_as_a_sentence():
    assert str(Comparison(0.691, 0.699, -0.013, -0.003, rows=18_000)) == (
        "ROC AUC 0.691, champion 0.699, difference \N{MINUS SIGN}0.008 [\N{MINUS SIGN}0.013, \N{MINUS SIGN}0.003]"
    )


@pytest.mark.parametrize(
    ("comparison", "needed"),
    [
        (Comparison(0.700, 0.700, -0.020, 0.020, rows=300), "4,800"),  # 0.02 must become 0.005: 16 times as many
        (Comparison(0.697, 0.700, -0.0062, 0.0002, rows=18_124), "46,000"),  # 0.0032 must become 0.002
        (Comparison(0.700, 0.700, -0.004, 0.004, rows=18_000), None),
    ],
)
def test_a_loss_that_the_rows_can_not_rule_out_is_a_warning_that_says_how_many_could(
    comparison: Comparison, needed: str | None
):
    loss = f"{comparison.rows:,} test rows can't rule out a loss of more than 0.005 against the champion"
    assert comparison.warning(0.005) == (needed and f"{loss}; about {needed} could")


def test_small_losses_against_the_champion_end_at_the_best_model_served():
    # given: the champion has lost to the best before, and the challenger loses a little more
    world = World(0)
    best, champion, challenger = (world.model(noise) for noise in (GOOD, FAIR, FAIR))

    # when
    result = world.gate(challenger, champion=champion, best=best)

    # then
    assert any(", best 0." in failure for failure in result.failures)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_equal_challenger_clears_floors_and_slices(seed: int):
    # given
    world = World(seed)

    # when
    result = world.gate(world.model(FAIR), note="no champion to compare with")

    # then
    assert result.passed, result.reason
    assert result.reason == "; ".join([*result.cleared, "no champion to compare with"])
    assert [sentence.split()[0] for sentence in result.cleared] == [*GATE.thresholds]
    assert re.search(r"^- roc_auc 0\.\d{4} is above 0\.6$", gate_report(result), re.MULTILINE)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_challenger_that_fails_on_a_slice_is_refused_and_the_slice_is_named(seed: int):
    # given: better than the champion on the whole, and wrong about women in secret
    world = World(seed)
    failing = world.model(0.1)
    women = (world.rows["Gender"] == "Female").to_numpy()
    failing[women] = 1 - failing[women]

    # when
    result = world.gate(failing, Gate(thresholds={"roc_auc": 0.5}), champion=world.model(POOR))

    # then
    assert not result.passed
    assert "where Gender is Female" in result.reason
    assert result.slices[0].value == "Female"


@pytest.mark.parametrize(
    ("metric", "threshold", "side"),
    [("roc_auc", 0.99, "above"), ("log_loss_gain", 0.9, "above"), ("brier_score_loss", 0.01, "below")],
)
def test_each_threshold_refuses(metric: str, threshold: float, side: str):
    # given
    world = World(0)

    # when
    [failure] = world.gate(world.model(GOOD), Gate(thresholds={metric: threshold})).failures

    # then
    assert failure.startswith(f"{metric} 0.")
    assert failure.endswith(f"must be {side} {threshold:g} (gate.thresholds.{metric})")


def test_a_model_that_always_answers_alive_is_refused_whatever_its_ranking():
    # given: it ranks well, and is calibrated, but never says dead
    world = World(0)
    cautious = 0.5 + world.model(GOOD) / 2

    # when
    [failure] = world.gate(cautious, Gate(thresholds={"roc_auc": 0.6, "balanced_accuracy_score": 0.5})).failures

    # then
    assert failure.startswith("balanced_accuracy_score 0.5000 must be above 0.5 (gate.thresholds.balanced_")


def test_a_slice_below_the_floor_by_chance_passes_with_a_warning():
    # given: 500 rows, of which the ROC AUC is below 0.5 for want of rows
    world = World(6, rows=500)
    world.rows["Gender"] = "Male"
    weak = world.model(POOR)
    weak = weak if world.gate(weak).slices[0].roc_auc < 0.5 else 1 - weak

    # when
    result = world.gate(weak, Gate(thresholds={}))

    # then
    assert result.passed, result.reason
    assert result.warnings[0].endswith("where Gender is Male (500 rows): below 0.5, but its interval is not")


@pytest.mark.parametrize("seed", SEEDS)
def test_roc_aucs_are_scikit_learns_and_a_difference_agrees_with_a_paired_bootstrap(seed: int):
    # given: rounded, so that there are ties
    world = World(seed, rows=1000)
    candidate, baseline = world.model(GOOD).round(2), world.model(FAIR).round(2)

    # when
    of_candidate, of_baseline, interval = paired_difference(world.alive, candidate, baseline, 0.95)

    # then
    assert of_candidate == pytest.approx(roc_auc_score(world.alive, candidate))
    assert of_baseline == pytest.approx(roc_auc_score(world.alive, baseline))
    drawn = bootstrap(
        (world.alive, candidate, baseline),
        lambda true, one, other: roc_auc_score(true, one) - roc_auc_score(true, other),
        vectorized=False, paired=True, n_resamples=500, rng=seed, method="percentile",
    ).confidence_interval  # fmt: skip
    assert interval[1:] == pytest.approx((drawn.low, drawn.high), abs=0.2 * (drawn.high - drawn.low))


def test_a_result_survives_the_tag_that_keeps_it():
    # given
    world = World(0)
    result = world.gate(world.model(FAIR), note="noted too", champion=world.model(GOOD))

    # then
    assert GateResult.from_json(result.to_json()) == result
    assert len(result.to_json()) < 5000
