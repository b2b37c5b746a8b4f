"""The gate: planted challengers end as they should, whatever the seed."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from marvel_assets.config import Gate
from marvel_assets.survival.gate import (
    BrokenModelError,
    Comparison,
    Verdict,
    _Ranking,
    compare,
    judge,
    log_loss_gain,
)

SEEDS = range(20)
ROWS = 4000
QUICK = Gate(resamples=200)
SURE, BLURRED, LOST = 0.8, 1.5, 6.0
"""Noise of a model's view of what decides: the champion sees it blurred."""

EQUAL_CHALLENGERS = 200
FALSE_REFUSALS = (1 - QUICK.confidence) / 2
"""The rate for a challenger as good as the champion, stated by the gate: half of what the interval leaves out."""


class World:
    """Characters whose fate is decided by one hidden number, and models that see it with noise."""

    def __init__(self, seed: int, rows: int = ROWS) -> None:
        self._random = np.random.default_rng(seed)
        self._hidden = self._random.normal(size=rows)
        self.alive = (self._random.random(rows) < 1 / (1 + np.exp(-1.1 - 1.5 * self._hidden))).astype(int)
        self.rows = pd.DataFrame(
            {
                "Gender": self._random.choice(["Male", "Female", "Other"], rows, p=[0.6, 0.3, 0.1]),
                "Identity": self._random.choice(["Public", "Secret", "Unknown"], rows),
                "Universe": self._random.choice(["Earth-616", "Other", "Earth-1"], rows, p=[0.5, 0.48, 0.02]),
            }
        )

    def model(self, noise: float) -> np.ndarray:
        """Calibrated probabilities of a model that sees the hidden number with this much noise."""
        seen = (self._hidden + noise * self._random.normal(size=len(self.alive))) / (1 + noise**2)
        return 1 / (1 + np.exp(-1.0 - 1.3 * seen))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_better_challenger_passes(seed: int):
    # given
    world = World(seed)

    # when
    verdict = judge(world.rows, world.alive, world.model(SURE), world.model(BLURRED), QUICK)

    # then
    assert verdict.passed, verdict.reason
    assert verdict.comparison.low > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_worse_challenger_is_refused_with_both_figures_and_the_interval(seed: int):
    # given
    world = World(seed)

    # when
    verdict = judge(world.rows, world.alive, world.model(BLURRED), world.model(SURE), QUICK)

    # then
    assert not verdict.passed
    assert verdict.reason.startswith(f"ROC AUC {verdict.comparison.challenger:.3f}, champion ")
    assert verdict.comparison.high < 0


def test_an_equal_challenger_is_refused_as_seldom_as_the_interval_says():
    # given
    worlds = [World(1000 + seed, rows=1500) for seed in range(EQUAL_CHALLENGERS)]

    # when
    refused = sum(compare(world.alive, world.model(BLURRED), world.model(BLURRED), QUICK).is_worse for world in worlds)

    # then: within what chance allows in 999 of 1,000 such series
    least, most = binom.interval(0.999, EQUAL_CHALLENGERS, FALSE_REFUSALS)
    assert least <= refused <= most


@pytest.mark.parametrize("seed", SEEDS)
def test_an_equal_challenger_clears_floors_and_slices(seed: int):
    # given
    world = World(seed)

    # when
    verdict = judge(world.rows, world.alive, world.model(BLURRED), None, QUICK, note="no champion to compare with")

    # then
    assert verdict.passed, verdict.reason
    assert verdict.reason == "no champion to compare with"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_broken_challenger_is_an_error(seed: int):
    # given
    world = World(seed)
    broken = world.model(SURE)
    broken[seed] = (np.nan, np.inf, -0.1, 1.1)[seed % 4]

    # then
    with pytest.raises(BrokenModelError, match="the challenger predicts 1 times what is no probability"):
        judge(world.rows, world.alive, broken, world.model(BLURRED), QUICK)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_challenger_that_fails_on_a_slice_is_refused_and_the_slice_is_named(seed: int):
    # given: better than the champion on the whole, and wrong about women in secret
    world = World(seed)
    failing = world.model(0.1)
    women = (world.rows["Gender"] == "Female").to_numpy()
    failing[women] = 1 - failing[women]
    generous = Gate(resamples=200, minimum_roc_auc=0.5, minimum_log_loss_gain=-1.0)

    # when
    verdict = judge(world.rows, world.alive, failing, world.model(LOST), generous)

    # then
    assert not verdict.passed
    assert "where Gender is Female" in verdict.reason
    assert verdict.slices[0].value == "Female"


def test_a_slice_too_small_to_tell_is_left_out():
    # given: Earth-1 has some 80 rows
    world = World(0)
    failing = world.model(SURE)
    few = (world.rows["Universe"] == "Earth-1").to_numpy()
    failing[few] = 1 - failing[few]

    # then
    assert judge(world.rows, world.alive, failing, None, QUICK).passed


@pytest.mark.parametrize(
    ("floor", "told"),
    [
        ({"minimum_roc_auc": 0.99}, "roc_auc 0."),
        ({"minimum_balanced_accuracy": 0.99}, "balanced_accuracy_score 0."),
        ({"minimum_log_loss_gain": 0.9}, "log_loss_gain 0."),
    ],
)
def test_each_floor_refuses(floor: dict[str, float], told: str):
    # given
    world = World(0)

    # when
    verdict = judge(world.rows, world.alive, world.model(SURE), None, Gate(**floor))

    # then
    assert verdict.refusals[0].startswith(told)
    assert f"below the floor of {next(iter(floor.values())):g}" in verdict.refusals[0]


def test_everybody_lives_is_refused():
    # given
    world = World(0)

    # when
    verdict = judge(world.rows, world.alive, np.full(ROWS, 0.99), None, QUICK)

    # then
    assert any(reason.startswith("roc_auc 0.5000 is below") for reason in verdict.refusals)
    assert any(reason.startswith("log_loss_gain -") for reason in verdict.refusals)


def test_the_base_rate_gains_nothing():
    # given
    alive = np.array([1, 1, 1, 0])

    # then: the entropy of 3 in 4
    assert log_loss_gain(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), alive) == pytest.approx(0.0)


def test_the_same_seed_gives_the_same_interval():
    # given
    world = World(3)
    challenger, champion = world.model(SURE), world.model(BLURRED)

    # then
    assert compare(world.alive, challenger, champion, QUICK) == compare(world.alive, challenger, champion, QUICK)


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.integers(0, 3)),
        min_size=2,
        max_size=60,
    )
)
def test_the_area_of_a_draw_is_scikit_learns_on_the_repeated_rows(drawn: list[tuple[bool, float, int]]):
    # given
    alive, probability, times = (np.array(column) for column in zip(*drawn, strict=True))
    repeated = np.repeat(alive, times)

    # when
    found = _Ranking(alive.astype(int), probability).roc_auc(times)

    # then
    expected = roc_auc_score(repeated, np.repeat(probability, times)) if 0 < repeated.sum() < len(repeated) else 0.5
    assert found == pytest.approx(expected)


def test_the_reason_reads_as_a_sentence():
    assert str(Comparison(0.691, 0.699, -0.013, -0.003)) == (
        "ROC AUC 0.691, champion 0.699, difference \N{MINUS SIGN}0.008 [\N{MINUS SIGN}0.013, \N{MINUS SIGN}0.003]"
    )


def test_a_verdict_survives_the_tag_that_keeps_it():
    # given
    world = World(0)
    verdict = judge(world.rows, world.alive, world.model(BLURRED), world.model(SURE), QUICK, note="told too")

    # then
    assert Verdict.from_json(verdict.to_json()) == verdict
    assert len(verdict.to_json()) < 5000
