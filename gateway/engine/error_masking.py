"""Errors as clients may see them: not too many, and nothing of what happened inside."""

from graphql import GraphQLError

from gateway.engine.preparation import MOST_ERRORS
from gateway.log import logger


def internal_error(path: list[str | int] | None = None) -> GraphQLError:
    """What a client is told of a bug of ours."""
    return GraphQLError("内部错误", path=path, extensions={"code": "INTERNAL"})


def tidy(errors: list[GraphQLError]) -> list[GraphQLError]:
    """At most MOST_ERRORS, none of which tells what happened inside; the rest is counted."""
    shown = [_masked(error) for error in errors[:MOST_ERRORS]]
    if len(errors) > MOST_ERRORS:
        more = len(errors) - MOST_ERRORS
        shown.append(GraphQLError(f"另有 {more} 个错误未列出", extensions={"code": "TOO_MANY_ERRORS", "more": more}))
    inside = [error.original_error for error in errors if _is_ours(error)]
    if inside:  # one line an answer: a bad column spoils as many fields as there are rows
        first = inside[0]
        logger().error("request.internal_error", error=type(first).__name__, count=len(inside), exc_info=first)
    return shown


def _masked(error: GraphQLError) -> GraphQLError:
    return internal_error(error.path) if _is_ours(error) else error


def _is_ours(error: GraphQLError) -> bool:
    """Whether it is a bug of ours or of the data, which clients are not told about."""
    return error.original_error is not None and not isinstance(error.original_error, GraphQLError)
