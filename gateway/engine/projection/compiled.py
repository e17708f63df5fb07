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


@dataclass(frozen=True, slots=True)
class Projection:
    """What turns an execution into an answer."""

    shape: ObjectShape
    project: Project

    def answer(self, execution: Execution, document: DocumentNode) -> tuple[Any, list[GraphQLError]]:
        """The data, as a Struct or a mapping that msgspec writes as JSON, and the errors."""
        try:
            return self.project(Answers(execution, document, row_as_it_is).root), []
        except Exception:  # whatever it was, it is found again where it can be told
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
    return Projection(shape, write_projection(shape))
