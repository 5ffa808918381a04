"""What is known of a shape: the fields that examples show, also of objects within objects and within lists.

a value with fields     an object there keeps those that any example shows, each of which is known in its turn
`{}` in an example      anything goes there: a map whose keys are data
a list                  each item is known by what all items of all examples show between them
text, number, boolean   has no fields: an object there keeps none
null, or only `[]`      shows nothing, so that anything goes, unless another example shows more
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Known:
    """Of one place in a shape: its `fields`, None where anything goes; its `items`, None where no list is known."""

    fields: Mapping[str, Known] | None = None
    items: Known | None = None

    def keep(self, value: Any) -> Any:
        """The value without what is not known of it; what was handed in is left as it was."""
        if isinstance(value, Mapping) and self.fields is not None:
            return {key: self.fields[key].keep(each) for key, each in value.items() if key in self.fields}
        if isinstance(value, (list, tuple)):
            item = self.items or Known(self.fields)
            return [item.keep(each) for each in value]
        return value


ANYTHING = Known()


def shown(values: Iterable[Any]) -> Known:
    """What values at one place show between them."""
    values = [value for value in values if value is not None]
    objects = [value for value in values if isinstance(value, Mapping)]
    lists = [value for value in values if isinstance(value, (list, tuple))]
    items = [item for each in lists for item in each]
    known = shown(items) if items else None
    plain = len(values) > len(objects) + len(lists)
    if not all(objects) or not (objects or items or plain):
        return Known(None, known)
    return Known(fields_of(objects), known)


def fields_of(objects: Iterable[Mapping[str, Any]]) -> dict[str, Known]:
    """Of each field that any of the objects has, what is known; none for empty ones."""
    objects = list(objects)
    names = dict.fromkeys(name for each in objects for name in each)
    return {name: shown(each[name] for each in objects if name in each) for name in names}
