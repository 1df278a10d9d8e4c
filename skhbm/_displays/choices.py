"""What all displays ask of their arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["check_choice"]


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise ValueError if a value is none of the choices."""
    if not isinstance(value, str) or value not in choices:
        msg = f"`{name}` must be one of {list(choices)}. Got {value!r}."
        raise ValueError(msg)
