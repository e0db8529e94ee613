"""The table of concepts as a set of codes."""

from types import ModuleType

from operators.domain.concepts import Code


def codes_of(value: object) -> set[Code]:
    """Every code in a module, a dictionary or a tuple, however deep."""
    if isinstance(value, Code):
        return {value}
    items = vars(value) if isinstance(value, ModuleType) else value
    items = items.values() if isinstance(items, dict) else items if isinstance(items, tuple) else ()
    return set().union(*(codes_of(item) for item in items if not isinstance(item, ModuleType)))
