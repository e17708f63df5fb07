"""What can go wrong with a source, sorted by what the caller does next. The docstring is the default message.

`retry_after`: seconds for which nobody should ask again, where the source or our own limits say so. `held`: answers to some
of the keys that were asked for, which were remembered from before.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.source import Page


class SourceError(Exception):
    """来源系统调用失败"""

    retryable = False

    def __init__(
        self, message: str = "", *, source: str = "", operation: str = "", retry_after: float | None = None
    ) -> None:
        self.source, self.operation = source, operation
        self.detail, self.retry_after = message, retry_after
        self.held: tuple[Page, ...] = ()
        super().__init__(message or type(self).__doc__)

    def copy(self) -> "SourceError":
        """An equal error, for somebody else who waited for the same call; what is raised twice collects two traces."""
        copied = type(self)(self.detail, source=self.source, operation=self.operation, retry_after=self.retry_after)
        copied.held, copied.__cause__ = self.held, self.__cause__
        return copied

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
