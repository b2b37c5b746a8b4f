"""References: small, frozen, and the same again after JSON."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from marvel_assets.storage.references import Reference, TableVersion, from_json, to_json


@given(st.one_of([st.builds(kind) for kind in get_args(Reference)]))
def test_a_reference_comes_back_from_json_as_it_was(reference: Reference):
    # when
    back = from_json(to_json(reference))

    # then
    assert back == reference
    assert type(back) is type(reference)


@pytest.mark.parametrize(("text", "named"), [("", "Invalid JSON"), ('{"cache": "0"}', "FittedPipelineRef.cache_key")])
def test_what_is_not_a_reference_is_refused_by_name(text: str, named: str):
    # then
    with pytest.raises(ValidationError, match=named):
        from_json(text)


def test_tables_of_equal_content_have_equal_data_versions_whatever_the_version():
    # given
    first, later, other = (TableVersion("c.s.t", *given) for given in ((3, 10, "a"), (9, 10, "a"), (3, 10, "b")))

    # then
    assert first.data_version == later.data_version != other.data_version
    assert str(first) == "c.s.t@v3"
