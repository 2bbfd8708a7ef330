"""Metadata of a runtime with just what the client uses, written by hand; its types are as the real one has them."""

from __future__ import annotations

from labora._jobs.metadata import Metadata
from labora._jobs.scale import compact

EXISTENTIAL = 10**9


def text(value: str) -> bytes:
    return compact(len(value)) + value.encode()


def vector(items: list[bytes]) -> bytes:
    return compact(len(items)) + b"".join(items)


def field(name: str | None, number: int) -> bytes:
    named = b"\0" if name is None else b"\1" + text(name)
    return named + compact(number) + b"\0" + vector([])


class Builder:
    """Numbers types in the order in which they are added."""

    def __init__(self) -> None:
        self.types: list[bytes] = []

    def add(self, definition: bytes, path: str = "", parameters: dict[str, int] | None = None) -> int:
        named = [text(name) + b"\1" + compact(number) for name, number in (parameters or {}).items()]
        number = len(self.types)
        self.types.append(compact(number) + vector([text(path)]) + vector(named) + definition + vector([]))
        return number

    def primitive(self, index: int) -> int:
        return self.add(b"\5" + bytes([index]))

    def array(self, item: int, length: int) -> int:
        return self.add(b"\3" + length.to_bytes(4, "little") + compact(item))

    def sequence(self, item: int) -> int:
        return self.add(b"\2" + compact(item))

    def struct(self, fields: list[tuple[str | None, int]]) -> int:
        return self.add(b"\0" + vector([field(*one) for one in fields]))

    def enum(self, variants: list[tuple[str, int, list[tuple[str | None, int]], str]]) -> int:
        written = [
            text(name) + vector([field(*one) for one in fields]) + bytes([index]) + vector([text(docs)])
            for name, index, fields, docs in variants
        ]
        return self.add(b"\1" + vector(written))


def build() -> bytes:
    """What `state_getMetadata` would give."""
    types = Builder()
    u8, u32, u64, u128 = (types.primitive(index) for index in (3, 5, 6, 7))
    hash_, error_bytes = types.array(u8, 32), types.array(u8, 4)
    account = types.struct([(None, hash_)])
    address = types.enum([("Id", 0, [(None, account)], "")])
    short, long = types.array(u8, 64), types.array(u8, 65)
    signature = types.enum(
        [("Ed25519", 0, [(None, short)], ""), ("Sr25519", 1, [(None, short)], ""), ("Ecdsa", 2, [(None, long)], "")]
    )
    left = types.struct([("root", hash_), ("m", u32)])
    batch = types.struct(
        [("root_b", hash_), ("n", u32), ("k", u32), ("left", types.struct([(None, types.sequence(left))]))]
    )
    hashes = types.struct([(None, types.sequence(hash_))])
    job = [("job", u64)]
    jobs_call = types.enum(
        [
            ("post", 0, [("batch", batch), ("fee", u128), ("open_blocks", u32)], ""),
            ("raise", 1, [*job, ("by", u128)], ""),
            ("submit", 4, [*job, ("roots", hashes)], ""),
            *((name, index, job, "") for name, index in zip(JOB_CALLS, (2, 3, 5, 6, 10), strict=True)),
        ]
    )
    grants_call = types.enum([("sponsor", 11, [("batch", batch), ("open_blocks", u32), ("fee", u128)], "")])
    call = types.enum([("Jobs", 40, [(None, jobs_call)], ""), ("Grants", 41, [(None, grants_call)], "")])
    dispatch_error = types.enum([("BadOrigin", 2, [], ""), ("Module", 3, [("index", u8), ("error", error_bytes)], "")])
    system_event = types.enum(
        [("ExtrinsicSuccess", 0, [], ""), ("ExtrinsicFailed", 1, [("dispatch_error", dispatch_error)], "")]
    )
    refund = types.enum([("Cancelled", 0, [], ""), ("Deadline", 1, [], ""), ("Unaudited", 2, [], "")])
    jobs_event = types.enum(
        [
            ("Posted", 0, [*job, ("poster", account), ("fee", u128), ("macs", u64), ("deadline", u32)], ""),
            ("Refunded", 9, [*job, ("refund", refund)], ""),
        ]
    )
    event = types.enum([("System", 0, [(None, system_event)], ""), ("Jobs", 40, [(None, jobs_event)], "")])
    phase = types.enum([("ApplyExtrinsic", 0, [(None, u32)], ""), ("Finalization", 1, [], "")])
    record = types.struct([("phase", phase), ("event", event), ("topics", types.sequence(hash_))])
    events = types.sequence(record)
    data = types.struct([("free", u128), ("reserved", u128), ("frozen", u128), ("flags", u128)])
    info = types.struct([(name, u32) for name in ("nonce", "consumers", "providers", "sufficients")] + [("data", data)])
    jobs_error = types.enum([(name, index, [], docs) for index, (name, docs) in enumerate(ERRORS.items())])
    nothing, era = types.add(b"\4" + vector([])), types.array(u8, 2)
    compact_u32, mode = types.add(b"\6" + compact(u32)), types.struct([("mode", u8)])
    extrinsic = types.add(
        b"\0" + vector([]), "UncheckedExtrinsic", {"Address": address, "Call": call, "Signature": signature}
    )

    def entry(name: str, value: int, key: int | None) -> bytes:
        kind = b"\0" if key is None else b"\1" + vector([b"\2"]) + compact(key)
        return text(name) + b"\1" + kind + compact(value) + vector([]) + vector([])

    def pallet(name: str, index: int, storage: list[bytes], constants: list[bytes], errors: int | None) -> bytes:
        stored = b"\1" + text(name) + vector(storage) if storage else b"\0"
        failing = b"\0" if errors is None else b"\1" + compact(errors)
        return text(name) + stored + b"\0\0" + vector(constants) + failing + bytes([index])

    existential = text("ExistentialDeposit") + compact(u128) + compact(16) + EXISTENTIAL.to_bytes(16, "little")
    pallets = [
        pallet("System", 0, [entry("Account", info, account), entry("Events", events, None)], [], None),
        pallet("Balances", 10, [], [existential + vector([])], None),
        pallet("Jobs", 40, [], [], jobs_error),
        pallet("Grants", 41, [], [], None),
    ]
    extensions = [
        ("CheckNonZeroSender", nothing, nothing),
        ("CheckSpecVersion", nothing, u32),
        ("CheckTxVersion", nothing, u32),
        ("CheckGenesis", nothing, hash_),
        ("CheckMortality", era, hash_),
        ("CheckNonce", compact_u32, nothing),
        ("CheckWeight", nothing, nothing),
        ("ChargeTransactionPayment", compact_u32, nothing),
        ("CheckMetadataHash", mode, u8),
        ("WeightReclaim", nothing, nothing),
    ]
    carried = [text(name) + compact(extra) + compact(additional) for name, extra, additional in extensions]
    head = b"meta" + bytes([14]) + vector(types.types) + vector(pallets)
    return head + compact(extrinsic) + bytes([4]) + vector(carried) + compact(nothing)


JOB_CALLS = ("cancel", "claim", "accept", "forget", "poke")
ERRORS = {
    "NoSuchJob": "There is no such job, or it is forgotten.",
    "NotThePoster": "Only the poster can do this.",
    "WrongStage": "The job does not stand where this can be done.",
    "NotDue": "Nothing is due yet.",
    "FeeTooLow": "The fee is under the least one.",
    "NotAudited": "Somebody else pays for the job, so auditors have to have confirmed the result first.",
}

METADATA = build()
PARSED = Metadata.parse(METADATA)
