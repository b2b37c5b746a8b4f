"""Faults on purpose: each promise of docs/reliability.md, with a test that could fail.

``make test-faults`` tries a sample of each row, ``make test-faults FAULTS=all`` all of it.
"""
