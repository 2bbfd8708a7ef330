"""What a node tells of the market and its jobs, as Python has it. Amounts are LAB, times are block numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeVar

from labora._errors import ProtocolError
from labora._jobs.money import rate_of, to_lab

Stage = Literal["open", "claimed", "submitted", "settled"]

#: In the order in which a job comes to them.
STAGES: tuple[Stage, ...] = ("open", "claimed", "submitted", "settled")

#: Where each stage begins and ends in :attr:`Progress.fraction`.
_SPANS: Mapping[Stage, tuple[float, float]] = {
    "open": (0.0, 0.0),
    "claimed": (0.1, 0.5),
    "submitted": (0.5, 1.0),
    "settled": (1.0, 1.0),
}

T = TypeVar("T")


@dataclass(frozen=True)
class Market:
    """Terms and prices."""

    least_fee: Decimal
    #: What the last settled jobs paid for 10¹² multiply-accumulates; None before the first.
    going_rate: Decimal | None
    deposit_base: Decimal
    deposit_per_product: Decimal
    #: Shares of the fee; what is left is burned.
    worker_share: Decimal
    auditor_share: Decimal
    #: Share of the bond that a claim costs which is late or has no data.
    failure_share: Decimal
    #: The bond of a claim, in fees.
    bond_factor: int
    #: Multiply-accumulates that a claim leaves a block's time for, and blocks on top of that.
    macs_per_block: int
    least_claim_blocks: int
    #: Auditors of a result.
    committee: int
    #: Blocks for which a result can be challenged.
    challenge_window: int
    longest_open_blocks: int
    #: Blocks for which a settled job is kept.
    kept_blocks: int
    #: Jobs that were ever posted.
    posted: int

    @classmethod
    def of(cls, answer: Any) -> Market:
        """Reads the answer of ``jobs_market``."""
        return _read("jobs_market", lambda: cls(
            least_fee=to_lab(int(answer["leastFee"])),
            going_rate=None if answer["goingRate"] is None else to_lab(int(answer["goingRate"])),
            deposit_base=to_lab(int(answer["depositBase"])),
            deposit_per_product=to_lab(int(answer["depositPerProduct"])),
            worker_share=Decimal(answer["workerSharePpb"]).scaleb(-9),
            auditor_share=Decimal(answer["auditorSharePpb"]).scaleb(-9),
            failure_share=Decimal(answer["failureSharePpb"]).scaleb(-9),
            bond_factor=int(answer["bondFactor"]),
            macs_per_block=int(answer["macsPerBlock"]),
            least_claim_blocks=int(answer["leastClaimBlocks"]),
            committee=int(answer["committee"]),
            challenge_window=int(answer["challengeWindow"]),
            longest_open_blocks=int(answer["longestOpenBlocks"]),
            kept_blocks=int(answer["keptBlocks"]),
            posted=int(answer["posted"]),
        ))  # fmt: skip

    def claim_blocks(self, macs: int) -> int:
        """Blocks for which a claim of so many multiply-accumulates lasts."""
        return macs // max(1, self.macs_per_block) + self.least_claim_blocks


@dataclass(frozen=True)
class Cost:
    """What a job would cost."""

    #: Paid once it is settled; held until then.
    fee: Decimal
    #: Held until the job is forgotten, and given back.
    deposit: Decimal
    #: Paid for the transaction that posts it.
    transaction: Decimal
    #: Multiply-accumulates, padding included.
    macs: int
    #: Whether the research fund pays fee and deposit.
    sponsored: bool = False

    @property
    def rate(self) -> Decimal:
        """LAB for 10¹² multiply-accumulates."""
        return rate_of(int(self.fee.scaleb(12)), self.macs)

    @property
    def total(self) -> Decimal:
        """What the account must have free."""
        return self.transaction if self.sponsored else self.fee + self.deposit + self.transaction


@dataclass(frozen=True)
class Balance:
    """An account's LAB."""

    #: Not held for anything.
    free: Decimal
    #: Held for jobs, bonds and the like.
    held: Decimal
    #: What of `free` can be spent.
    spendable: Decimal


@dataclass(frozen=True)
class ProductFacts:
    """A product of a job, padded."""

    #: BLAKE3 root of A.
    a: bytes
    #: Rows of A, and of C.
    m: int
    #: BLAKE3 root of C, once there is a result.
    c: bytes | None


@dataclass(frozen=True)
class MinedBlock:
    """A block that was mined on a product of a job: its seal names the product's matrices."""

    number: int
    hash: bytes
    #: Index of the product.
    product: int


@dataclass(frozen=True)
class Window:
    """The last blocks in which things can be done about a result."""

    since: int
    attest_until: int
    reveal_until: int
    ends: int


@dataclass(frozen=True)
class JobStatus:
    """A job, as the best chain has it."""

    number: int
    stage: Stage
    poster: str
    fee: Decimal
    deposit: Decimal
    #: The last block in which it can be claimed.
    deadline: int
    #: Multiply-accumulates of all products.
    macs: int
    #: BLAKE3 root of Bt, of n×k.
    b: bytes
    n: int
    k: int
    products: tuple[ProductFacts, ...]
    worker: str | None
    bond: Decimal | None
    claimed_until: int | None
    window: Window | None
    #: Address of each auditor, and ``nothing``, ``unavailable``, ``sealed`` or ``opened``; empty in lists.
    auditors: tuple[tuple[str, str], ...]
    settled_at: int | None
    #: Blocks that were mined on its matrices, the oldest first; empty in lists.
    mined: tuple[MinedBlock, ...] = ()
    #: Address of the account that pays in the poster's stead, such as an institution's of the research fund.
    payer: str | None = None
    #: Claims of it that failed.
    failed: int = 0
    #: Why the last of them did: ``late``, ``unavailable`` or ``wrong``.
    last_failure: str | None = None

    @classmethod
    def of(cls, answer: Any) -> JobStatus:
        """Reads an answer of ``jobs_get``."""

        def read() -> JobStatus:
            window, bond = answer["window"], answer["bond"]
            if answer["stage"] not in STAGES:
                raise ValueError(f"a stage {answer['stage']!r} is not known; update labora")
            return cls(
                number=int(answer["job"]),
                stage=answer["stage"],
                poster=str(answer["poster"]),
                fee=to_lab(int(answer["fee"])),
                deposit=to_lab(int(answer["deposit"])),
                deadline=int(answer["deadline"]),
                macs=int(answer["macs"]),
                b=_root(answer["b"]),
                n=int(answer["n"]),
                k=int(answer["k"]),
                products=tuple(
                    ProductFacts(_root(one["a"]), int(one["m"]), None if one["c"] is None else _root(one["c"]))
                    for one in answer["products"]
                ),
                worker=answer["worker"],
                bond=None if bond is None else to_lab(int(bond)),
                claimed_until=answer["claimedUntil"],
                window=None if window is None else Window(
                    int(window["since"]), int(window["attestUntil"]), int(window["revealUntil"]), int(window["ends"])
                ),
                auditors=tuple((str(one["auditor"]), str(one["said"])) for one in answer.get("auditors") or ()),
                settled_at=answer["settledAt"],
                mined=tuple(
                    MinedBlock(int(one["number"]), _root(one["hash"]), int(one["product"]))
                    for one in answer.get("mined") or ()
                ),
                payer=answer.get("payer"),
                failed=int(answer.get("failed", 0)),
                last_failure=answer.get("lastFailure"),
            )  # fmt: skip

        return _read("jobs_get", read)

    @property
    def rate(self) -> Decimal:
        """LAB for 10¹² multiply-accumulates."""
        return rate_of(int(self.fee.scaleb(12)), self.macs)

    def has_reached(self, stage: Stage) -> bool:
        """Whether it stands at a stage or beyond."""
        return STAGES.index(self.stage) >= STAGES.index(stage)

    def is_due(self, now: int) -> bool:
        """Whether ``jobs.poke`` does something in the block after this one."""
        if self.stage == "open":
            return now > self.deadline
        if self.stage == "claimed":
            return self.claimed_until is not None and now > self.claimed_until
        return self.stage == "submitted" and self.window is not None and now > self.window.ends


@dataclass(frozen=True)
class Explanation:
    """Why a job stands where it stands, in the node's words."""

    stage: Stage
    summary: str
    #: Why, in figures.
    because: tuple[str, ...]
    #: What can be done about it, and by whom.
    next: tuple[str, ...]

    @classmethod
    def of(cls, answer: Any) -> Explanation:
        """Reads an answer of ``jobs_explain``."""
        return _read("jobs_explain", lambda: cls(
            answer["stage"],
            str(answer["summary"]),
            tuple(str(one) for one in answer["because"]),
            tuple(str(one) for one in answer["next"]),
        ))  # fmt: skip

    def __str__(self) -> str:
        return "\n".join([self.summary, *(f"  {one}" for one in self.because), *(f"  → {one}" for one in self.next)])


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    stage: Stage
    #: From 0 to 1: open 0; claimed 0.1 to 0.5, by the time of the claim; submitted 0.5 to 1, by that of the audit;
    #: settled 1.
    fraction: float
    #: What the node says of it.
    words: tuple[str, ...]
    #: Address of each auditor, and what it has said.
    auditors: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, status: JobStatus, explanation: Explanation, market: Market, now: int) -> Progress:
        """How far a job is by block ``now``."""
        first, last = _SPANS[status.stage]
        passed = 1.0
        if status.stage == "claimed" and status.claimed_until is not None:
            length = market.claim_blocks(status.macs)
            passed = 1 - (status.claimed_until - now) / max(1, length)
        elif status.stage == "submitted" and status.window is not None:
            passed = (now - status.window.since) / max(1, status.window.ends - status.window.since)
        fraction = first + (last - first) * min(1.0, max(0.0, passed))
        return cls(status.stage, fraction, (explanation.summary, *explanation.because), status.auditors)


def _root(text: Any) -> bytes:
    root = bytes.fromhex(str(text).removeprefix("0x"))
    if len(root) != 32:
        raise ValueError(f"{text!r} is no root")
    return root


def _read(method: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise ProtocolError(f"the answer to {method} is not as this version knows it: {error!r}") from error
