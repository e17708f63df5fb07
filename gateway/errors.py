"""What a caller did wrong. The docstring is the default message; the class name gives `extensions.code`."""


class QueryError(Exception):
    """查询有误"""

    def __init__(self, message: str = "", code: str = "BAD_USER_INPUT") -> None:
        self.code = code
        super().__init__(message or type(self).__doc__)


class QueryTooLarge(QueryError):
    """查询过大"""

    def __init__(self, message: str = "") -> None:
        super().__init__(message, "QUERY_TOO_LARGE")
