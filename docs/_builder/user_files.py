"""The page of every kind of user file: its template, its keys, and its JSON schema as a file beside it."""

from __future__ import annotations

import json
from typing import Any

FOLDER = "reference/files"


def pages() -> dict[str, str]:
    """Return the Markdown of the pages, and the schemas, by path."""
    from reports.user_files.kinds import KINDS
    from reports.user_files.schemas import SCHEMAS, schema_of

    made = {f"{FOLDER}/{name}.md": _page(name) for name in KINDS}
    made |= {f"{FOLDER}/{name}.schema.json": json.dumps(schema_of(name), indent=1) for name in SCHEMAS}
    made[f"{FOLDER}/index.md"] = _index()
    return made


def nav() -> list[object]:
    """Return the navigation of the kinds."""
    from reports.user_files.kinds import KINDS

    return [f"{FOLDER}/index.md", *({kind.label.capitalize(): f"{FOLDER}/{kind.name}.md"} for kind in KINDS.values())]


def _index() -> str:
    from reports.user_files.kinds import KINDS
    from reports.user_files.schemas import SCHEMAS
    from reports.user_files.templates import TEMPLATES

    rows = []
    for name, kind in KINDS.items():
        begin = f"`devicekit new {name}`" if name in TEMPLATES else ""
        schema = f"[schema]({name}.schema.json)" if name in SCHEMAS else ""
        endings = ", ".join(f"`{ending}`" for ending in kind.endings)
        rows.append(f"| [{kind.label}]({name}.md) | {endings} | {begin} | {schema} |")
    return f"""# User files

`devicekit check FILE` reads any of them as the commands do and says what is in it or what is wrong. `devicekit new
KIND` writes a commented beginning that runs as it stands.

| file | ends with | begin with | for editors |
| --- | --- | --- | --- |
{chr(10).join(rows)}

## Completion in an editor

A JSON schema tells an editor which keys there are. Write one with `devicekit check --schema KIND > KIND.schema.json`
(or take it from this page) and name it in the first line of a TOML file, as editors with the *taplo* language server
read it:

```toml
#:schema ./core.schema.json
```

The schema knows keys and types. `devicekit check` knows more: values that contradict each other, names that do not
exist.
"""


def _page(name: str) -> str:
    from reports.page_parts import template_text
    from reports.user_files.kinds import KINDS
    from reports.user_files.schemas import SCHEMAS, schema_of
    from reports.user_files.templates import TEMPLATES

    kind = KINDS[name]
    lines = [f"# {kind.label.capitalize()}", ""]
    lines += [f"What the values mean: [{kind.page.removesuffix('.md')}](../../{kind.page}).", ""]
    if name in TEMPLATES:
        language = "python" if TEMPLATES[name].startswith("network") else "toml"
        lines += [f"`devicekit new {name}` writes:", "", f"```{language}"]
        lines += [template_text(f"files/{TEMPLATES[name]}").rstrip(), "```", ""]
    if name in SCHEMAS:
        schema = schema_of(name)
        lines += ["## Keys", "", f"[{name}.schema.json]({name}.schema.json) is the schema of this table.", ""]
        lines += ["| key | type | default | meaning |", "| --- | --- | --- | --- |", *_rows(schema, schema, "", 0)]
    return "\n".join(lines) + "\n"


def _rows(schema: dict[str, Any], root: dict[str, Any], prefix: str, depth: int) -> list[str]:
    """Return a row for every key, tables in tables by their dotted names."""
    own = _resolved(schema, root)
    named = dict(own.get("properties", {}))
    if isinstance(own.get("additionalProperties"), dict) and own["additionalProperties"]:
        named["NAME"] = own["additionalProperties"]
    rows = []
    for key, value in named.items():
        inner = _resolved(value, root)
        default = f"`{json.dumps(inner['default'])}`" if inner.get("default") not in (None, [], {}, "") else ""
        words = " ".join(str(inner.get("description", "")).split()).replace("|", "\\|").replace("<", "&lt;")
        rows.append(f"| `{prefix}{key}` | {_type(inner, root)} | {default} | {words} |")
        if depth < 3:
            rows += _rows(inner, root, f"{prefix}{key}.", depth + 1)
    return rows


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with its reference followed; of several forms, the one with keys of its own."""
    if "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return {**_resolved(target, root), **{k: v for k, v in schema.items() if k != "$ref"}}
    for form in schema.get("anyOf", ()):
        found = _resolved(form, root)
        if "properties" in found:
            return {**schema, "properties": found["properties"]}
    return schema


def _type(schema: dict[str, Any], root: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(_resolved(form, root), root) for form in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array" and isinstance(schema.get("items"), dict):
        return f"list of {_type(_resolved(schema['items'], root), root)}"
    return {"object": "table", "string": "text", "null": "none"}.get(str(kind), str(kind))
