"""Faults on purpose: each promise of docs/reliability.md, with a test that could fail.

``make test-faults`` tries a sample of each row, ``make test-faults FAULTS=all`` all of it. What was tried is recorded
with pytest's ``record_property`` under the names of ``conftest.FIGURES``, and summed up at the end.
"""
