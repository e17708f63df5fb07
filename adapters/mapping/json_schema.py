"""The mapping language as a JSON Schema, so that editors complete and check a mapping while it is typed."""

import json

from adapters.mapping.written import MappingForm


def mapping_json_schema() -> str:
    """The schema as text, ending in one newline: what `mappings/mapping.schema.json` holds."""
    schema = MappingForm.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "闽执法映射文件 mapping.yaml"
    return json.dumps(schema, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
