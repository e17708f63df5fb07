"""One operation's answer, compiled: fast as long as all is in order, careful when it is not, with the same answers."""

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
    _is_known: bool = False

    @property
    def project(self) -> Project:
        """The compiled code, written when it is first needed."""
        if self._project is None:
            self._project = write_projection(self.shape)
        return self._project

    def answer(self, execution: Execution, document: DocumentNode) -> tuple[Any, list[GraphQLError]]:
        """The data, as a Struct or a mapping that msgspec writes as JSON, and the errors."""
        if not self._is_known:
            self._is_known = True
            if self._project is None and _size(self.shape) > LARGE:
                return self._carefully(execution, document)
        try:
            return self.project(Answers(execution, document, row_as_it_is).root), []
        except Exception:  # whatever it was, it is found again where it can be told
            return self._carefully(execution, document)

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
