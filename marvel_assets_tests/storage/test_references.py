"""References: small, frozen, and the same again after JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from marvel_assets.storage.references import (
    FittedPipelineRef,
    LoggedModelRef,
    ModelVersionRef,
    Reference,
    TableVersion,
    WheelRef,
    from_json,
    to_json,
)

KINDS = (TableVersion, FittedPipelineRef, LoggedModelRef, ModelVersionRef, WheelRef)
TABLE = TableVersion("c.s.t", 3, 10, "abc")


@given(st.one_of([st.builds(kind) for kind in KINDS]))
def test_a_reference_comes_back_from_json_as_it_was(reference: Reference):
    # when
    back = from_json(to_json(reference))

    # then
    assert back == reference
    assert type(back) is type(reference)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "Invalid JSON"),
        ('{"kind": "Path"}', "'TableVersion', 'FittedPipeline'"),
        ('{"kind": "TableVersion"}', "name"),
    ],
)
def test_what_is_not_a_reference_is_refused_by_name(text: str, named: str):
    # then
    with pytest.raises(ValidationError, match=named):
        from_json(text)


def test_tables_of_equal_content_have_equal_data_versions_whatever_the_version():
    # given
    later = TableVersion(TABLE.name, 9, TABLE.rows, TABLE.content)

    # then
    assert later.data_version == TABLE.data_version
    assert TableVersion(TABLE.name, 3, 10, "other").data_version != TABLE.data_version


def test_references_name_exactly_one_version():
    # then
    assert str(TABLE) == "c.s.t@v3"
    assert LoggedModelRef("model", "m-1", "run", "/e").uri == "models:/m-1"
