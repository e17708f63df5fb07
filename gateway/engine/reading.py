"""The text of an operation as graphql-core's parser reads it, with names and punctuation found by one regular expression.

Tokens are not chained to their neighbours: who lets a document go gets its memory back at once, not when the garbage collector
has looked through everything. What most of a text is made of (fields, their arguments and names) is read without the detours
of the parser; everything else, every mistake among it, is the parser's.
"""

import re
from typing import Any, TypeVar

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    IntValueNode,
    Lexer,
    NameNode,
    Node,
    ObjectFieldNode,
    SelectionNode,
    SelectionSetNode,
    Source,
    StringValueNode,
    Token,
    TokenKind,
    ValueNode,
)
from graphql.language import Location
from graphql.language.parser import Parser

_NEXT = re.compile(
    r"""[ \t,\n\ufeff]*+(?:
        ([_A-Za-z][_0-9A-Za-z]*+)
      | ([!$&():=@\[\]{}|])
      | (-?(?:0|[1-9][0-9]*+)(?![_0-9A-Za-z.]))
      | "((?!"")[^"\\\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]*+)"
    )""",
    re.VERBOSE,
)
"""A name, a punctuator, a whole number, or a plain text, with what is ignored before it."""
_KINDS = (TokenKind.SOF, TokenKind.NAME, TokenKind.SOF, TokenKind.INT, TokenKind.STRING)
"""By the number of the group; a punctuator is known by its character."""
_PUNCTUATION = {kind.value: kind for kind in TokenKind if len(kind.value) == 1}
_INT, _STRING = TokenKind.INT, TokenKind.STRING
_NAME, _COLON, _AT, _SPREAD = TokenKind.NAME, TokenKind.COLON, TokenKind.AT, TokenKind.SPREAD
_PAREN_L, _PAREN_R, _BRACE_L, _BRACE_R = TokenKind.PAREN_L, TokenKind.PAREN_R, TokenKind.BRACE_L, TokenKind.BRACE_R

_Node = TypeVar("_Node", bound=Node)
_new = object.__new__


def parsed(text: str) -> DocumentNode:
    """The document of a text. Raises GraphQLError, or RecursionError when it is nested too deeply."""
    source = Source(text)
    return _Parser(source, lexer=_Lexer(source)).parse_document()


class _Lexer(Lexer):
    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.next, self.body = _NEXT.match, source.body

    def advance(self) -> Token:
        """The next token that is not ignored."""
        before = self.last_token = self.token
        at = before.end
        found = self.next(self.body, at)
        if (
            found is None or before.next is not None
        ):  # another text or number, a comment, the end, a mistake; or one looked ahead
            after = self.token = self.lookahead()
            if after is not before:
                before.next = after.prev = None
            return after
        group = found.lastindex or 0
        start, end = found.span(group)
        value: str | None = found[group]
        if group == 2:
            kind, value = _PUNCTUATION[value or ""], None
        else:
            kind = _KINDS[group]
            if group == 4:
                start, end = start - 1, end + 1
        if start > at and (lines := self.body.count("\n", at, start)):
            self.line += lines
            self.line_start = self.body.rindex("\n", at, start) + 1
        token = self.token = _new(Token)
        token.kind, token.value = kind, value
        token.start, token.end, token.line, token.column = start, end, self.line, 1 + start - self.line_start
        token.prev = token.next = None
        return token


class _Parser(Parser):
    def advance_lexer(self) -> None:
        """Tokens were counted before."""
        self._lexer.advance()

    def parse_selection_set(self) -> SelectionSetNode:
        """Fields and fragments between braces."""
        self._enter_nesting()
        lexer = self._lexer
        start = self.expect_token(_BRACE_L)
        nodes: list[SelectionNode] = []
        while (kind := lexer.token.kind) is not _BRACE_R:
            nodes.append(self.parse_fragment() if kind is _SPREAD else self.parse_field())
        end = lexer.token
        lexer.advance()
        self._nesting_depth -= 1
        return _made(SelectionSetNode, selections=tuple(nodes), loc=Location(start, end, lexer.source))

    def parse_field(self) -> FieldNode:
        """A field with all that belongs to it."""
        lexer = self._lexer
        source = lexer.source
        start = self.expect_token(_NAME)
        loc = Location(start, start, source)
        name = _made(NameNode, value=start.value, loc=loc)
        alias = arguments = directives = selection_set = None
        if (kind := lexer.token.kind) is _COLON:
            lexer.advance()
            alias, told = name, self.expect_token(_NAME)
            name = _made(NameNode, value=told.value, loc=Location(told, told, source))
            kind = lexer.token.kind
        if kind is _PAREN_L:
            arguments = self.parse_arguments(is_const=False)
            kind = lexer.token.kind
        if kind is _AT:
            directives = self.parse_directives(is_const=False)
            kind = lexer.token.kind
        if kind is _BRACE_L:
            selection_set = self.parse_selection_set()
        if lexer.last_token is not start:
            loc = Location(start, lexer.last_token, source)
        return _made(
            FieldNode,
            name=name,
            alias=alias,
            arguments=arguments,
            directives=directives,
            selection_set=selection_set,
            loc=loc,
        )

    def parse_argument(self, is_const: bool = False) -> ArgumentNode:
        """An argument and its value."""
        return self._named(ArgumentNode, is_const)

    def parse_object_field(self, is_const: bool) -> ObjectFieldNode:
        """A field of an input object and its value."""
        return self._named(ObjectFieldNode, is_const)

    def parse_value_literal(self, is_const: bool) -> ValueNode:
        """A value."""
        lexer = self._lexer
        token = lexer.token
        kind = token.kind
        if kind is _INT:
            lexer.advance()
            return _made(IntValueNode, value=token.value, loc=Location(token, token, lexer.source))
        if kind is _STRING:
            lexer.advance()
            return _made(StringValueNode, value=token.value, block=False, loc=Location(token, token, lexer.source))
        return super().parse_value_literal(is_const)

    def _named(self, kind: type[_Node], is_const: bool) -> _Node:
        lexer = self._lexer
        start = self.expect_token(_NAME)
        name = _made(NameNode, value=start.value, loc=Location(start, start, lexer.source))
        self.expect_token(_COLON)
        value = self.parse_value_literal(is_const)
        return _made(kind, name=name, value=value, loc=Location(start, lexer.last_token, lexer.source))


def _made(kind: type[_Node], **values: Any) -> _Node:
    """The node with all of its values; its own constructor takes twice as long to set them one by one."""
    node = _new(kind)
    node.__dict__.update(values)
    return node
