"""SCALE, by the types that a chain's metadata describes: bytes in, Python values out, and back.

| SCALE | Python |
| --- | --- |
| integers, compact ones too | ``int`` |
| sequences and arrays of u8 | ``bytes`` |
| other sequences, arrays and tuples | ``list``; ``tuple`` for tuples |
| structs with names | ``dict`` |
| structs with one field without a name | that field |
| enums | :class:`Choice` |

Only what metadata of version 14 can say; bit sequences are read and not written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from labora._errors import ProtocolError

T = TypeVar("T")

#: Deepest that types are nested; events and calls of real chains stay under 40.
MAX_DEPTH = 200

_INTEGERS = {f"{sign}{bits}": (bits // 8, sign == "i") for sign in "ui" for bits in (8, 16, 32, 64, 128, 256)}


class Choice(NamedTuple):
    """A variant of an enum. ``value`` is as for structs, and None where the variant has no fields."""

    name: str
    value: Any = None


class Reader:
    """Reads bytes from the front; :class:`ProtocolError` at their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        if count > self.left:
            raise ProtocolError(f"{count} bytes are announced and {self.left} are there")
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def integer(self, count: int, *, signed: bool = False) -> int:
        """A little-endian integer of ``count`` bytes."""
        return int.from_bytes(self.take(count), "little", signed=signed)

    def compact(self) -> int:
        """A compact integer."""
        first = self.integer(1)
        mode, rest = first & 3, first >> 2
        if mode == 0:
            return rest
        if mode < 3:
            more = 2 * mode - 1
            return rest | self.integer(more) << 6
        return self.integer(rest + 4)

    def length(self) -> int:
        """How many items follow. No more than bytes: so a few bytes cannot ask for a list of millions."""
        count = self.compact()
        if count > self.left:
            raise ProtocolError(f"{count} items are announced and {self.left} bytes are there")
        return count

    def text(self) -> str:
        """A string."""
        try:
            return self.take(self.length()).decode()
        except UnicodeDecodeError as error:
            raise ProtocolError("a string is not UTF-8") from error

    def list_of(self, read: Callable[[], T]) -> list[T]:
        """A sequence."""
        return [read() for _ in range(self.length())]

    def option_of(self, read: Callable[[], T]) -> T | None:
        """Something, or None."""
        return read() if self.integer(1) else None


def compact(value: int) -> bytes:
    """A compact integer."""
    if value < 0:
        raise ValueError(f"{value} is negative")
    for mode, count in ((0, 1), (1, 2), (2, 4)):
        if value < 1 << (8 * count - 2):
            return (value << 2 | mode).to_bytes(count, "little")
    count = max(4, (value.bit_length() + 7) // 8)
    return bytes([(count - 4) << 2 | 3]) + value.to_bytes(count, "little")


@dataclass(frozen=True)
class Field:
    """A field of a struct or variant."""

    name: str | None
    type: int


@dataclass(frozen=True)
class Variant:
    """A variant of an enum."""

    name: str
    index: int
    fields: tuple[Field, ...]
    #: What the runtime's source says of it.
    docs: str


@dataclass(frozen=True)
class Composite:
    """A struct."""

    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Enum:
    """An enum."""

    by_index: Mapping[int, Variant]
    by_name: Mapping[str, Variant]


@dataclass(frozen=True)
class Repeated:
    """A sequence, or an array if it has a length."""

    item: int
    length: int | None


@dataclass(frozen=True)
class Tuple:
    """A tuple."""

    items: tuple[int, ...]


@dataclass(frozen=True)
class Primitive:
    """``bool``, ``char``, ``str``, ``u8`` … ``i256``."""

    name: str


@dataclass(frozen=True)
class Compact:
    """A compact integer; what it stands for makes no difference."""


@dataclass(frozen=True)
class Bits:
    """A bit sequence, of words of so many bytes."""

    store: int


Definition = Composite | Enum | Repeated | Tuple | Primitive | Compact | Bits


@dataclass(frozen=True)
class Type:
    """A type of a chain."""

    path: tuple[str, ...]
    #: Names of its type parameters, and the types.
    parameters: Mapping[str, int | None]
    definition: Definition


class Types:
    """All types of a chain, by number."""

    def __init__(self, types: Mapping[int, Type]) -> None:
        self._types = types

    def __getitem__(self, number: int) -> Type:
        try:
            return self._types[number]
        except KeyError:
            raise ProtocolError(f"the metadata has no type {number}") from None

    def enum(self, number: int) -> Enum:
        """A type that must be an enum."""
        definition = self[number].definition
        if not isinstance(definition, Enum):
            raise ProtocolError(f"type {number} is no enum")
        return definition

    def is_empty(self, number: int) -> bool:
        """Whether values of this type take no bytes."""
        match self[number].definition:
            case Composite(fields):
                return all(self.is_empty(field.type) for field in fields)
            case Tuple(items):
                return all(self.is_empty(item) for item in items)
            case Repeated(item, length):
                return length is not None and (length == 0 or self.is_empty(item))
            case _:
                return False

    def decode(self, number: int, data: bytes) -> Any:
        """The value that ``data`` encodes, to its last byte."""
        reader = Reader(data)
        value = self.read(number, reader)
        if reader.left:
            raise ProtocolError(f"{reader.left} bytes are left over after type {number}")
        return value

    def read(self, number: int, reader: Reader, depth: int = 0) -> Any:
        """The next value of a type."""
        if depth > MAX_DEPTH:
            raise ProtocolError(f"types are nested deeper than {MAX_DEPTH}")
        match self[number].definition:
            case Primitive(name):
                return _read_primitive(name, reader)
            case Compact():
                return reader.compact()
            case Composite(fields):
                return self._read_fields(fields, reader, depth)
            case Enum(by_index):
                index = reader.integer(1)
                variant = by_index.get(index)
                if variant is None:
                    raise ProtocolError(f"type {number} has no variant {index}")
                return Choice(variant.name, self._read_fields(variant.fields, reader, depth))
            case Repeated(item, length):
                count = reader.length() if length is None else length
                if self[item].definition == Primitive("u8"):
                    return reader.take(count)
                return [self.read(item, reader, depth + 1) for _ in range(count)]
            case Tuple(items):
                return tuple(self.read(item, reader, depth + 1) for item in items)
            case Bits(store):
                words = -(-reader.compact() // (8 * store))
                return reader.take(words * store)
        raise ProtocolError(f"type {number} cannot be read")

    def _read_fields(self, fields: tuple[Field, ...], reader: Reader, depth: int) -> Any:
        values = [self.read(field.type, reader, depth + 1) for field in fields]
        if not fields:
            return None
        if fields[0].name is not None:
            return {str(field.name): value for field, value in zip(fields, values, strict=True)}
        return values[0] if len(values) == 1 else tuple(values)

    def encode(self, number: int, value: Any) -> bytes:
        """The bytes of a value. :class:`ValueError` if it is none of this type."""
        match self[number].definition:
            case Primitive(name):
                return _primitive(name, value)
            case Compact():
                return compact(value)
            case Composite(fields):
                return self._fields(fields, value)
            case Enum(_, by_name):
                name, inner = (value, None) if isinstance(value, str) else value
                if name not in by_name:
                    raise ValueError(f"{name!r} is none of {', '.join(by_name)}")
                variant = by_name[name]
                return bytes([variant.index]) + self._fields(variant.fields, inner)
            case Repeated(item, length):
                return self._items(item, length, value)
            case Tuple(items):
                if len(value) != len(items):
                    raise ValueError(f"{len(items)} items are expected, not {len(value)}")
                return b"".join(self.encode(item, inner) for item, inner in zip(items, value, strict=True))
        raise ValueError(f"type {number} cannot be written")

    def _items(self, item: int, length: int | None, value: Sequence[Any]) -> bytes:
        if length is not None and len(value) != length:
            raise ValueError(f"{length} items are expected, not {len(value)}")
        if isinstance(value, bytes):
            if self[item].definition != Primitive("u8"):
                raise ValueError("bytes are given where other items are expected")
            items = value
        else:
            items = b"".join(self.encode(item, inner) for inner in value)
        return items if length is not None else compact(len(value)) + items

    def _fields(self, fields: tuple[Field, ...], value: Any) -> bytes:
        if not fields:
            return b""
        if fields[0].name is not None:
            names = [str(field.name) for field in fields]
            if not isinstance(value, Mapping) or set(value) != set(names):
                raise ValueError(f"the fields are {', '.join(names)}")
            values = [value[name] for name in names]
        else:
            values = [value] if len(fields) == 1 else list(value)
        return b"".join(self.encode(field.type, inner) for field, inner in zip(fields, values, strict=True))


def _read_primitive(name: str, reader: Reader) -> Any:
    if name in _INTEGERS:
        count, is_signed = _INTEGERS[name]
        return reader.integer(count, signed=is_signed)
    if name == "bool":
        return bool(reader.integer(1))
    if name == "str":
        return reader.text()
    return reader.integer(4)


def _primitive(name: str, value: Any) -> bytes:
    if name in _INTEGERS:
        count, is_signed = _INTEGERS[name]
        try:
            return int(value).to_bytes(count, "little", signed=is_signed)
        except OverflowError:
            raise ValueError(f"{value} does not fit into {name}") from None
    if name == "bool":
        return bytes([bool(value)])
    if name == "str":
        encoded = str(value).encode()
        return compact(len(encoded)) + encoded
    raise ValueError(f"{name} cannot be written")
