"""What the one-letter and one-word attributes of a data element are called in Chinese, wherever people read them."""

from collections.abc import Mapping

from schema.registry import Need, Sensitivity, Status

NEEDS: Mapping[Need, str] = {"M": "必备", "C": "条件必备", "O": "可选"}
SENSITIVITIES: Mapping[Sensitivity, str] = {
    "public": "公开",
    "internal": "内部",
    "medium": "敏感（中）",
    "high": "敏感（高）",
}
"""From what everybody may see to what hardly anybody may."""
STATUSES: Mapping[Status, str] = {
    "candidate": "候选",
    "recorded": "已记录",
    "qualified": "合格",
    "standard": "标准",
    "superseded": "已被取代",
    "retired": "已停用",
}
"""Registration statuses of ISO/IEC 11179-6; the Chinese words are ours."""
