"""A query's tokens, counted before anything else is done with it: one pass of a regular expression, no tree, no recursion."""

import re

from graphql import GraphQLError, Source

DEEPEST_VALUE = 20
LONGEST_NUMBER = 40

# Possessive throughout, so that no text makes it try again. What matches nothing is left to the parser to complain about.
_TOKEN = re.compile(
    r'''(?P<comment> \#[^\n\r]*+ )                      # which the lexer makes a token of as well
    | (?P<text> """(?:[^"\\]++|\\"""|\\|"(?!""))*+"""    # a block string
              | "(?!"")(?:[^"\\\n\r]++|\\.)*+" )         # a string
    | (?P<broken> " )                                    # one that does not end: the rest has no tokens
    | (?P<number> -?[0-9][0-9A-Za-z_.+-]*+ )
    | (?P<open> [{(\[] )
    | (?P<close> [})\]] )
    | (?P<at> @ )
    | (?P<other> [_A-Za-z][_0-9A-Za-z]*+ | \.\.\. | [!$&:=|] )''',
    re.VERBOSE,
)
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u(?:0000|\{0+\})")


def check_tokens(text: str, longest: int, most: int, deepest: int, most_directives: int) -> None:
    """A text no longer than `longest`, of at most `most` tokens, nested no deeper than `deepest`. Raises GraphQLError."""
    if len(text) > longest:
        raise too_large("length", longest, f"查询超过 {longest} 个字符")
    tokens = depth = values = directives = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind is None:
            continue
        if kind == "broken":
            return
        tokens += 1
        if tokens > most:
            raise too_large("tokens", most, f"查询超过 {most} 个词法单元", text, match.start())
        if kind == "open":
            if values or match[0] != "{":
                values += 1
                if values > DEEPEST_VALUE:
                    raise too_large("depth", DEEPEST_VALUE, f"参数嵌套超过 {DEEPEST_VALUE} 层", text, match.start())
            else:
                depth += 1
                if depth > deepest:
                    raise too_large("depth", deepest, f"查询嵌套超过 {deepest} 层", text, match.start())
        elif kind == "close":
            if values:
                values -= 1
            else:
                depth -= 1
        elif kind == "at":
            directives += 1
            if directives > most_directives:
                raise too_large("directives", most_directives, f"指令超过 {most_directives} 个", text, match.start())
        elif kind == "number":
            if len(match[0]) > LONGEST_NUMBER:
                raise _wrong(f"数字超过 {LONGEST_NUMBER} 位", text, match.start())
        elif kind == "text" and _NUL.search(match[0]):
            raise _wrong("文本中有 NUL 字符", text, match.start())


def too_large(limit: str, most: int, message: str, text: str | None = None, at: int = 0) -> GraphQLError:
    """The refusal of a query that passes a limit, which `extensions` names."""
    extensions = {"code": "QUERY_TOO_LARGE", "limit": limit, "most": most}
    if text is None:
        return GraphQLError(message, extensions=extensions)
    return GraphQLError(message, source=Source(text), positions=[at], extensions=extensions)


def _wrong(message: str, text: str, at: int) -> GraphQLError:
    return GraphQLError(message, source=Source(text), positions=[at], extensions={"code": "GRAPHQL_PARSE_FAILED"})
