"""Google's own description of FCM v1, held strictly against the requests we make."""

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_DISCOVERY = files("googleapiclient") / "discovery_cache" / "documents" / "fcm.v1.json"
_SCHEMAS: Mapping[str, Any] = json.loads(_DISCOVERY.read_text())["schemas"]
_TYPES: Mapping[str, Any] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "number": (int, float),
    "array": list,
    "object": dict,
}


def faults(body: Any, schema: str = "SendMessageRequest") -> list[str]:
    """What in a request body FCM's schema does not allow; an unknown field is a fault."""
    return _faults(body, {"$ref": schema}, schema)


def _faults(value: Any, schema: Mapping[str, Any], where: str) -> list[str]:
    if "$ref" in schema:
        return _faults(value, _SCHEMAS[schema["$ref"]], where)
    kind = schema.get("type", "any")
    if kind == "any":
        return []
    if not isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, bool)):
        return [f"{where}: not of type {kind}"]
    found: list[str] = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: not one of {schema['enum']}")
    if schema.get("format") == "google-duration" and not re.fullmatch(r"\d+(\.\d{1,9})?s", value):
        found.append(f"{where}: not a duration")
    if kind == "array":
        for number, item in enumerate(value):
            found += _faults(item, schema["items"], f"{where}[{number}]")
    if kind == "object":
        for name, item in value.items():
            # Protocol buffers in JSON: a field may come in camelCase or in its original snake_case.
            known = schema.get("properties", {}).get(re.sub(r"_([a-z])", lambda m: m[1].upper(), name))
            known = known or schema.get("additionalProperties")
            if known is None:
                found.append(f"{where}: no field {name}")
            else:
                found += _faults(item, known, f"{where}.{name}")
    return found
