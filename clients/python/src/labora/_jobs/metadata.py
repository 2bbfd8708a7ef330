"""A chain's own description, of version 14: types, calls, events, errors, constants, and what transactions carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labora._errors import UnsupportedChain
from labora._jobs.scale import (
    Bits,
    Choice,
    Compact,
    Composite,
    Definition,
    Enum,
    Field,
    Primitive,
    Reader,
    Repeated,
    Tuple,
    Type,
    Types,
    Variant,
)

_MAGIC = b"meta"
_VERSION = 14
_PRIMITIVES = ("bool", "char", "str", *(f"{sign}{bits}" for sign in "ui" for bits in (8, 16, 32, 64, 128, 256)))


@dataclass(frozen=True)
class Extension:
    """Something that every transaction carries: ``extra`` in itself, ``additional`` under its signature alone."""

    name: str
    extra: int
    additional: int


@dataclass(frozen=True)
class Pallet:
    """A part of the runtime."""

    name: str
    index: int
    #: Types of the values of its storage, by name; for maps that of the value.
    storage: dict[str, int]
    #: Type and encoded value.
    constants: dict[str, tuple[int, bytes]]
    #: Type of its errors, if it has any.
    errors: int | None


@dataclass(frozen=True)
class Metadata:
    """What is known of a runtime."""

    types: Types
    pallets: dict[str, Pallet]
    #: Types of an address, a call and a signature.
    address: int
    call: int
    signature: int
    extensions: tuple[Extension, ...]

    @classmethod
    def parse(cls, data: bytes) -> Metadata:
        """Reads what ``state_getMetadata`` gives."""
        reader = Reader(data)
        if reader.take(4) != _MAGIC:
            raise UnsupportedChain("what the node gives as metadata is none")
        version = reader.integer(1)
        if version != _VERSION:
            raise UnsupportedChain(f"the metadata is of version {version}, and {_VERSION} is known; update labora")
        types = Types(dict(reader.list_of(lambda: _type(reader))))
        pallets = {pallet.name: pallet for pallet in reader.list_of(lambda: _pallet(reader))}
        extrinsic, transaction_version = types[reader.compact()], reader.integer(1)
        extensions = tuple(reader.list_of(lambda: _extension(reader)))
        if transaction_version != 4:
            raise UnsupportedChain(f"transactions are of version {transaction_version}, and 4 is known; update labora")
        address, call, signature = (extrinsic.parameters.get(name) for name in ("Address", "Call", "Signature"))
        if address is None or call is None or signature is None:
            raise UnsupportedChain("the metadata does not say what a transaction is made of")
        return cls(types, pallets, address, call, signature, extensions)

    def pallet(self, name: str) -> Pallet:
        """A part of the runtime that must be there."""
        if name not in self.pallets:
            raise UnsupportedChain(f"the chain has no pallet {name}; is it Labora's, and new enough?")
        return self.pallets[name]

    def encode_call(self, pallet: str, name: str, arguments: dict[str, Any]) -> bytes:
        """The bytes of a call."""
        self.pallet(pallet)
        return self.types.encode(self.call, Choice(pallet, Choice(name, arguments)))

    def constant(self, pallet: str, name: str) -> Any:
        """A constant of the runtime."""
        constants = self.pallet(pallet).constants
        if name not in constants:
            raise UnsupportedChain(f"the chain has no constant {pallet}.{name}")
        number, value = constants[name]
        return self.types.decode(number, value)

    def read_storage(self, pallet: str, name: str, value: bytes) -> Any:
        """A value of the state."""
        storage = self.pallet(pallet).storage
        if name not in storage:
            raise UnsupportedChain(f"the chain has no storage {pallet}.{name}")
        return self.types.decode(storage[name], value)

    def explain(self, error: Choice) -> tuple[str, str]:
        """Name and sentence of a ``DispatchError``."""
        if error.name != "Module":
            detail = error.value.name if isinstance(error.value, Choice) else None
            name = f"{error.name}.{detail}" if detail else error.name
            return name, _WORDS.get(name, f"the runtime refuses it: {name}")
        for pallet in self.pallets.values():
            if pallet.index != error.value["index"] or pallet.errors is None:
                continue
            variant = self.types.enum(pallet.errors).by_index.get(error.value["error"][0])
            if variant is not None:
                return f"{pallet.name}.{variant.name}", variant.docs or variant.name
        return "Module", f"the runtime refuses it: {error.value}"


#: What the runtime has no sentences for.
_WORDS = {
    "Token.FundsUnavailable": "the account has too little that is free",
    "Token.OnlyProvider": "the account would be left with too little to exist",
    "Token.BelowMinimum": "the amount is below what an account must have",
    "BadOrigin": "this account may not do this",
    "Exhausted": "the block had no room for it",
}


def _documentation(reader: Reader) -> str:
    return " ".join(line.strip() for line in reader.list_of(reader.text)).strip()


def _field(reader: Reader) -> Field:
    name, number = reader.option_of(reader.text), reader.compact()
    reader.option_of(reader.text)
    _documentation(reader)
    return Field(name, number)


def _variant(reader: Reader) -> Variant:
    name = reader.text()
    fields = tuple(reader.list_of(lambda: _field(reader)))
    index = reader.integer(1)
    return Variant(name, index, fields, _documentation(reader))


def _definition(reader: Reader) -> Definition:
    kind = reader.integer(1)
    if kind == 0:
        return Composite(tuple(reader.list_of(lambda: _field(reader))))
    if kind == 1:
        variants = reader.list_of(lambda: _variant(reader))
        return Enum({one.index: one for one in variants}, {one.name: one for one in variants})
    if kind == 2:
        return Repeated(reader.compact(), None)
    if kind == 3:
        length = reader.integer(4)
        return Repeated(reader.compact(), length)
    if kind == 4:
        return Tuple(tuple(reader.list_of(reader.compact)))
    if kind == 5:
        which = reader.integer(1)
        if which < len(_PRIMITIVES):
            return Primitive(_PRIMITIVES[which])
    if kind == 6:
        reader.compact()
        return Compact()
    if kind == 7:
        # Order and store are types themselves; every chain there is stores bits in bytes.
        reader.compact(), reader.compact()
        return Bits(1)
    raise UnsupportedChain(f"the metadata has a type of kind {kind}, which is not known; update labora")


def _type(reader: Reader) -> tuple[int, Type]:
    number = reader.compact()
    path = tuple(reader.list_of(reader.text))
    parameters = dict(reader.list_of(lambda: (reader.text(), reader.option_of(reader.compact))))
    definition = _definition(reader)
    _documentation(reader)
    return number, Type(path, parameters, definition)


def _storage(reader: Reader) -> dict[str, int]:
    reader.text()
    return dict(reader.list_of(lambda: _entry(reader)))


def _entry(reader: Reader) -> tuple[str, int]:
    name = reader.text()
    reader.integer(1)
    is_map = reader.integer(1)
    if is_map:
        reader.take(reader.length())
        reader.compact()
    value = reader.compact()
    reader.take(reader.length())
    _documentation(reader)
    return name, value


def _constant(reader: Reader) -> tuple[str, tuple[int, bytes]]:
    name, number = reader.text(), reader.compact()
    value = reader.take(reader.length())
    _documentation(reader)
    return name, (number, value)


def _pallet(reader: Reader) -> Pallet:
    name = reader.text()
    storage = reader.option_of(lambda: _storage(reader))
    reader.option_of(reader.compact)
    reader.option_of(reader.compact)
    constants = dict(reader.list_of(lambda: _constant(reader)))
    errors = reader.option_of(reader.compact)
    return Pallet(name, reader.integer(1), storage or {}, constants, errors)


def _extension(reader: Reader) -> Extension:
    return Extension(reader.text(), reader.compact(), reader.compact())
