"""What the specification says of an element in one word, as GraphQL enums; the values are the registry's."""

import enum

import strawberry

from schema.words import NEEDS, SENSITIVITIES, STATUSES


@strawberry.enum(description="数据元的约束（必备性）")
class ElementNeed(enum.Enum):
    """M, C or O, as a word."""

    MANDATORY = strawberry.enum_value("M", description=f"{NEEDS['M']}（M）")
    CONDITIONAL = strawberry.enum_value("C", description=f"{NEEDS['C']}（C），条件见 condition")
    OPTIONAL = strawberry.enum_value("O", description=f"{NEEDS['O']}（O）")


@strawberry.enum(description="数据元的敏感程度")
class ElementSensitivity(enum.Enum):
    """Who may see values of an element."""

    PUBLIC = strawberry.enum_value("public", description=SENSITIVITIES["public"])
    INTERNAL = strawberry.enum_value("internal", description=SENSITIVITIES["internal"])
    MEDIUM = strawberry.enum_value("medium", description=SENSITIVITIES["medium"])
    HIGH = strawberry.enum_value("high", description=SENSITIVITIES["high"])


@strawberry.enum(description="数据元的注册状态（ISO/IEC 11179-6）")
class ElementStatus(enum.Enum):
    """How far the registration of an element has come."""

    CANDIDATE = strawberry.enum_value("candidate", description=STATUSES["candidate"])
    RECORDED = strawberry.enum_value("recorded", description=STATUSES["recorded"])
    QUALIFIED = strawberry.enum_value("qualified", description=STATUSES["qualified"])
    STANDARD = strawberry.enum_value("standard", description=STATUSES["standard"])
    SUPERSEDED = strawberry.enum_value("superseded", description=STATUSES["superseded"])
    RETIRED = strawberry.enum_value("retired", description=STATUSES["retired"])


@strawberry.enum(description="数据元值的数据类型")
class ElementKind(enum.Enum):
    """The kind of value a format stands for."""

    TEXT = strawberry.enum_value("text", description="文本（C、URI）")
    NUMBER = strawberry.enum_value("number", description="整数（N）")
    DATE = strawberry.enum_value("date", description="日期（D10）")
    DATETIME = strawberry.enum_value("datetime", description="时间（DT）")
    BOOLEAN = strawberry.enum_value("boolean", description="是否（B）")
    MONEY = strawberry.enum_value("money", description="金额（Money），两位小数的元")
    STRUCTURE = strawberry.enum_value("structure", description="JSON 对象或列表（J）")
