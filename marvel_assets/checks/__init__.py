"""The asset checks, one file for each asset group."""
