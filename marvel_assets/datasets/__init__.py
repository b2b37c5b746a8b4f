"""The tables of characters; the only place that names a column."""
