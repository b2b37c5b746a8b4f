"""References: small, frozen, and the same again after JSON."""

import json
from dataclasses import FrozenInstanceError, asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from marvel_assets.storage.references import (
    LoggedModelRef,
    ModelVersionRef,
    Reference,
    TableVersion,
    WheelRef,
    from_json,
    to_json,
)

KINDS = (TableVersion, LoggedModelRef, ModelVersionRef, WheelRef)
TABLE = TableVersion("c.s.t", 3, 10, "abc")


@given(st.one_of([st.builds(kind) for kind in KINDS]))
def test_a_reference_comes_back_from_json_as_it_was(reference: Reference):
    # when
    back = from_json(to_json(reference))

    # then
    assert back == reference
    assert type(back) is type(reference)


def test_the_json_tells_its_kind_and_its_fields():
    # when
    content = json.loads(to_json(TABLE))

    # then
    assert content == {"kind": "TableVersion", "name": "c.s.t", "version": 3, "rows": 10, "content": "abc"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "{",
        "null",
        "7",
        "[]",
        "{}",
        '{"kind": null}',
        '{"kind": []}',
        '{"kind": {"a": 1}}',
        '{"kind": "Path"}',
        '{"kind": "builtins.eval"}',
        "[" * 100_000,
        "\x80\x04K\x01.",
    ],
)
def test_what_is_no_reference_is_refused(text: str):
    # then
    with pytest.raises(ValidationError):
        from_json(text)


def test_a_reference_of_another_kind_is_refused_with_the_known_kinds():
    # then
    with pytest.raises(ValidationError, match="'TableVersion', 'LoggedModelRef', 'ModelVersionRef', 'WheelRef'"):
        from_json('{"kind": "Path"}')


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_field_is_named(kind: type[Reference]):
    # given
    content = {"kind": kind.__name__}

    # then
    with pytest.raises(ValidationError, match=f"(?s){kind.__name__}.*Field required"):
        from_json(json.dumps(content))


def test_an_unknown_field_is_named():
    # then
    with pytest.raises(ValidationError, match=r"TableVersion.path"):
        from_json(json.dumps({**asdict(TABLE), "path": "/etc"}))


@pytest.mark.parametrize(("field", "value"), [("name", None), ("version", "3"), ("rows", 1.5), ("version", True)])
def test_a_field_of_another_type_is_named(field: str, value: object):
    # given
    content = {**asdict(TABLE), field: value}

    # then
    with pytest.raises(ValidationError, match=f"TableVersion.{field}"):
        from_json(json.dumps(content))


def test_a_reference_cannot_be_changed():
    # then
    with pytest.raises(FrozenInstanceError):
        TABLE.version = 4


def test_tables_of_equal_content_have_equal_data_versions_whatever_the_version():
    # given
    later = TableVersion(TABLE.name, 9, TABLE.rows, TABLE.content)

    # then
    assert later.data_version == TABLE.data_version
    assert TableVersion(TABLE.name, 3, 10, "other").data_version != TABLE.data_version


def test_model_versions_have_data_versions_of_their_own():
    # given
    one, two = (ModelVersionRef("c.s.m", number, "m-1", "latest-model") for number in (1, 2))

    # then
    assert one.data_version != two.data_version


def test_references_name_exactly_one_version():
    # then
    assert str(TABLE) == "c.s.t@v3"
    assert LoggedModelRef("model", "m-1", "run", "/e").uri == "models:/m-1"
