"""References in text: `${env:NAME}`, `${env:NAME:default}` and `${secret:block-name}`.

They are resolved when a stage runs; the spec, fingerprints and artifacts keep the reference.
`$${` stands for `${`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prefect_torch.errors import Problem, SpecError

SecretLoader = Callable[[str], Any]
"""Returns the value of a secret by name; raises ValueError for one that does not exist."""

_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}")
_resolved: set[str] = set()
"""Values of secrets, kept to be found in texts that a person may read."""
_EXPECTED = "expected ${env:NAME}, ${env:NAME:default} or ${secret:block-name}; write $${ for ${"


@dataclass(frozen=True)
class Reference:
    """One reference in a text of the spec."""

    field: str
    """Dotted path of the field, such as `data.source.password`."""
    kind: str
    """`env` or `secret`."""
    name: str
    default: str | None = None


def references(tree: Any) -> list[Reference]:
    """Return every reference in the texts of a tree of mappings and lists.

    Raises:
        SpecError: Something looks like a reference and is none.
    """
    found = []
    for field, text in _texts(tree, ""):
        for match in _REFERENCE.finditer(text):
            if match[1] is not None:
                found.append(_parsed(match, field))
    return found


def load_secret(name: str) -> Any:
    """Return the value of a Prefect Secret block.

    Raises:
        ValueError: There is no such block.
    """
    from prefect.blocks.system import Secret

    block: Any = Secret.load(name, _sync=True)  # type: ignore[call-arg]
    return block.get()


def interpolate(tree: Any, secret_loader: SecretLoader = load_secret) -> Any:
    """Return the tree with every reference in a text replaced by its value, which stays text.

    Raises:
        SpecError: A variable is not set, a block does not exist, or a reference is malformed.
    """

    def replaced(value: Any, field: str) -> Any:
        if isinstance(value, str):
            return _REFERENCE.sub(
                lambda match: (
                    "${" if match[1] is None else _value_of(_parsed(match, field), secret_loader)
                ),
                value,
            )
        if isinstance(value, Mapping):
            return {key: replaced(item, _below(field, key)) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [replaced(item, _below(field, i)) for i, item in enumerate(value)]
        return value

    return replaced(tree, "")


def redact(text: str) -> str:
    """Return a text with every secret that this process has resolved replaced by `***`."""
    for secret in sorted(_resolved, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _texts(value: Any, field: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, _below(field, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _texts(item, _below(field, index))


def _below(field: str, key: str | int) -> str:
    return f"{field}.{key}" if field else str(key)


def _parsed(match: re.Match[str], field: str) -> Reference:
    kind, _, rest = match[1].partition(":")
    name, colon, default = rest.partition(":")
    if kind not in {"env", "secret"} or not name or (kind == "secret" and colon):
        raise SpecError([Problem("", field, f"found {match[0]}; {_EXPECTED}")])
    return Reference(field, kind, name, default if colon else None)


def _value_of(reference: Reference, secret_loader: SecretLoader) -> str:
    if reference.kind == "env":
        value = os.environ.get(reference.name, reference.default)
        if value is None:
            raise SpecError(
                [
                    Problem(
                        "",
                        reference.field,
                        f"the environment variable {reference.name} is not set; set it where the "
                        f"pipeline runs, or give a default: ${{env:{reference.name}:default}}",
                    )
                ]
            )
        return value
    try:
        secret = secret_loader(reference.name)
    except ValueError as error:
        message = (
            f'there is no Prefect Secret block "{reference.name}"; create it in the Prefect UI '
            "under Blocks, of the type Secret"
        )
        raise SpecError([Problem("", reference.field, message)]) from error
    if isinstance(secret, (dict, list)) or secret is None:
        message = (
            f'the Secret block "{reference.name}" holds no text; it must hold text or a number'
        )
        raise SpecError([Problem("", reference.field, message)])
    if str(secret):
        _resolved.add(str(secret))
    return str(secret)
