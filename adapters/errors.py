"""What can go wrong with a source, sorted by what the caller does next. The docstring is the default message."""


class SourceError(Exception):
    """来源系统调用失败"""

    retryable = False

    def __init__(self, message: str = "", *, source: str = "", operation: str = "") -> None:
        self.source, self.operation = source, operation
        self.detail = message
        self.retry_after: float | None = None
        """Seconds after which the source wants to be asked again, when it says so."""
        super().__init__(message or type(self).__doc__)

    @property
    def code(self) -> str:
        """`SOURCE_TIMEOUT` for `SourceTimeout`: what `extensions.code` says."""
        name = type(self).__name__
        return "".join(f"_{c}" if c.isupper() and i else c for i, c in enumerate(name)).upper()

    @property
    def public_message(self) -> str:
        """What a client may read: never the source's own words, which may carry hosts, SQL or names."""
        return str(type(self).__doc__)


class SourceUnavailable(SourceError):
    """来源系统暂时无法访问"""

    retryable = True


class SourceTimeout(SourceError):
    """来源系统未在时限内答复"""

    retryable = True


class SourceThrottled(SourceError):
    """来源系统限流，请稍后再试"""

    retryable = True


class SourceDenied(SourceError):
    """来源系统拒绝授权"""


class SourceRejected(SourceError):
    """来源系统拒绝了请求"""


class SourceContractBroken(SourceError):
    """来源系统的答复与映射不符，已通知责任人"""
