"""What the command line does around Dagster's own command."""

import os
from pathlib import Path

import pytest

from marvel_assets.cli import _restored_output


def test_what_is_printed_after_a_redirection_that_could_not_be_ended_is_seen(capfd: pytest.CaptureFixture[str]):
    # given: as Dagster leaves them where the file of a step's output is on a full disk
    with Path("/dev/full").open("wb") as full, _restored_output():
        for descriptor in (1, 2):
            os.dup2(full.fileno(), descriptor)
        with pytest.raises(OSError, match="No space left"):
            os.write(2, b"lost")

    # when
    os.write(1, b"output")
    os.write(2, b"problem")

    # then
    assert capfd.readouterr() == ("output", "problem")
