"""What is raised where a source can't be used."""


class SourceError(ValueError):
    """The source can't be read; the text names the source, the column where there is one, and a way out."""


class NoRowsError(SourceError):
    """A file can be read, and holds no rows."""
