"""Causes of errors."""


def root_cause(error: BaseException) -> BaseException:
    """The innermost cause or context of an error."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error
