"""One operation's answer, compiled: fast as long as all is in order, careful when it is not, with the same answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphql import DocumentNode, GraphQLError, GraphQLSchema, OperationDefinitionNode
from graphql.execution.values import VariableValues

from gateway.engine.answer import Answers, row_as_it_is
from gateway.engine.executor import Execution
from gateway.engine.plan import Plan
from gateway.engine.projection.careful import project_carefully
from gateway.engine.projection.shape import NotCompilable, ObjectShape, read_shape
from gateway.engine.projection.writing import Project, write_projection
from schema.registry import Registry

LARGE = 100
"""Fields of an operation from which on its code is worth writing only for who asks again: Python takes 30 microseconds a field
to compile it, and a stream of operations never seen before would take them for nothing."""


@dataclass(slots=True)
class Projection:
    """What turns an execution into an answer."""

    shape: ObjectShape
    _project: Project | None = None
    _asked: int = 0
    _is_left_to_others: bool = False
    """Whether somebody compiles large code when there is time."""
    _is_given: bool = False

    @property
    def project(self) -> Project:
        """The compiled code, written when it is first needed."""
        if self._project is None:
            for _ in self._portions():
                pass
        assert self._project is not None
        return self._project

    def due(self) -> Iterator[None] | None:
        """What is to be compiled, in portions, once a large operation is asked for again; to be asked for after each answer.
        None when there is nothing, or somebody has it already. Who asks has to do it: `answer` leaves it to them from then on.
        """
        self._is_left_to_others = True
        if self._project is not None or self._is_given or self._asked <= 1:
            return None
        self._is_given = True
        return self._portions()

    def answer(self, execution: Execution, document: DocumentNode) -> tuple[Any, list[GraphQLError]]:
        """The data, as a Struct or a mapping that msgspec writes as JSON, and the errors."""
        self._asked += 1
        if self._project is None and (self._asked == 1 or self._is_left_to_others) and _size(self.shape) > LARGE:
            return self._carefully(execution, document)
        try:
            return self.project(Answers(execution, document, row_as_it_is).root), []
        except Exception:  # whatever it was, it is found again where it can be told
            return self._carefully(execution, document)

    def _portions(self) -> Iterator[None]:
        self._project = yield from write_projection(self.shape)

    def _carefully(self, execution: Execution, document: DocumentNode) -> tuple[Any, list[GraphQLError]]:
        answers = Answers(execution, document)
        data, errors = project_carefully(self.shape, answers)
        return data, [*errors, *answers.beside]


def compile_projection(
    schema: GraphQLSchema,
    registry: Registry,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    values: VariableValues,
    plan: Plan,
) -> Projection | None:
    """The projection of a planned operation; None where only the stock executor can answer it."""
    try:
        shape = read_shape(schema, registry, document, operation, values, plan.places)
    except NotCompilable:
        return None
    return Projection(shape)


def _size(shape: ObjectShape) -> int:
    """How many fields the shape has."""
    return len(shape.fields) + sum(_size(below) for field in shape.fields for below in (field.below or {}).values())
