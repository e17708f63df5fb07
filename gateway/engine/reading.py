"""The text of an operation as graphql-core's parser reads it, with names and punctuation found by one regular expression.

Tokens are not chained to their neighbours: who lets a document go gets its memory back at once, not when the garbage collector
has looked through everything.
"""

import re

from graphql import DocumentNode, Lexer, Source, Token, TokenKind
from graphql.language.parser import Parser

_NEXT = re.compile(r"[ \t,\n\ufeff]*(?:([_A-Za-z][_0-9A-Za-z]*)|([!$&():=@\[\]{}|]))")
_PUNCTUATION = {kind.value: kind for kind in TokenKind if len(kind.value) == 1}


def parsed(text: str) -> DocumentNode:
    """The document of a text. Raises GraphQLError, or RecursionError when it is nested too deeply."""
    source = Source(text)
    return Parser(source, lexer=_Lexer(source)).parse_document()


class _Lexer(Lexer):
    def advance(self) -> Token:
        """The next token that is not ignored."""
        before = self.last_token = self.token
        found = _NEXT.match(self.source.body, before.end)
        if (
            found is None or before.next is not None
        ):  # a text, a number, a comment, the end, a mistake; or one looked ahead
            after = self.token = self.lookahead()
            if after is not before:
                before.next = after.prev = None
            return after
        start, end = found.span(found.lastindex or 0)
        if start > before.end and (lines := self.source.body.count("\n", before.end, start)):
            self.line += lines
            self.line_start = self.source.body.rindex("\n", before.end, start) + 1
        name = found[1]
        kind = TokenKind.NAME if name is not None else _PUNCTUATION[found[2]]
        after = self.token = Token(kind, start, end, self.line, 1 + start - self.line_start, name)
        return after
