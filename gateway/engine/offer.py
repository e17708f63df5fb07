"""What GraphQL has and this service does not offer, or not to everybody; said as such, before anything is validated."""

from typing import Any

from graphql import DocumentNode, GraphQLError, GraphQLSchema, OperationDefinitionNode, OperationType

INTROSPECTION = ("__schema", "__type", "_service")


def check_offered(document: DocumentNode, schema: GraphQLSchema, is_open: bool) -> None:
    """No subscription unless the schema has one, and no introspection unless `is_open`.

    Raises GraphQLError with its code.
    """
    waiting: list[Any] = []
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            is_subscription = definition.operation is OperationType.SUBSCRIPTION
            if is_subscription and schema.subscription_type is None:
                raise _refused("不支持订阅（subscription）", "SUBSCRIPTION_NOT_SUPPORTED", definition)
        waiting.append(getattr(definition, "selection_set", None))
    while waiting:
        for node in getattr(waiting.pop(), "selections", ()):
            if not is_open and node.kind == "field" and node.name.value in INTROSPECTION:
                raise _refused("未开放内省（introspection）", "INTROSPECTION_DISABLED", node)
            waiting.append(getattr(node, "selection_set", None))


def _refused(message: str, code: str, node: Any) -> GraphQLError:
    return GraphQLError(message, node, extensions={"code": code})
