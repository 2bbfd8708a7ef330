"""Jobs that the research fund pays for: what it pays at most, and what an account can still have paid."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from labora._errors import NotGranted, ProtocolError, RpcError
from labora._jobs.facts import Market
from labora._jobs.money import LAB, fee_of_price, show, to_lab
from labora._jobs.rpc import Rpc


@dataclass(frozen=True)
class Fund:
    """The research fund."""

    #: What it can give.
    free: Decimal
    #: Most that it pays for 10¹² multiply-accumulates; and for less work never less than the least fee.
    max_rate: Decimal
    #: Longest that a job stays open that it pays for, in blocks.
    open_blocks: int
    #: The last block of the era in which quotas can be used.
    era_ends: int

    @classmethod
    async def of(cls, rpc: Rpc) -> Fund:
        """The fund of a node's chain."""
        answer = await _ask(rpc, "grants_fund")
        try:
            free, max_rate = to_lab(int(answer["free"])), to_lab(int(answer["maxRate"]))
            return cls(free, max_rate, int(answer["openBlocks"]), int(answer["eraEnds"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"the answer to grants_fund is not as this version knows it: {error!r}") from error

    def most(self, macs: int, market: Market) -> int:
        """Most that it pays for so many multiply-accumulates, in the token's smallest unit."""
        return max(int(market.least_fee * LAB), fee_of_price(self.max_rate, macs))

    def check(self, fee: int, macs: int, open_blocks: int, market: Market) -> None:
        """Raises :class:`labora.NotGranted` if it pays no such fee for so much work, or not for as long as it is open."""
        most = self.most(macs, market)
        if fee > most:
            raise NotGranted(
                f"the fee is {show(fee)}, and for so much work the research fund pays at most {show(most)} "
                f"({self.max_rate:f} LAB for 10¹² multiply-accumulates, and never less than the least fee); offer less"
            )
        if open_blocks > self.open_blocks:
            raise NotGranted(
                f"open_blocks is {open_blocks}, and a job that the research fund pays for stays open for at most "
                f"{self.open_blocks}; give less, or nothing"
            )


async def check(rpc: Rpc, address: str, fund: Fund, fee: int, deposit: Decimal) -> None:
    """Raises :class:`labora.NotGranted` if an account cannot have a job of this fee paid now."""
    answer = await _ask(rpc, "grants_of", address)
    try:
        institution, left, room = answer["memberOf"], int(answer["left"]), to_lab(int(answer["room"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"the answer to grants_of is not as this version knows it: {error!r}") from error
    if institution is None:
        raise NotGranted(
            f"{address} is a member of no institution; the admin of one can change that (labora grant invite), "
            f"and without sponsored=True it pays itself"
        )
    if fee > left:
        raise NotGranted(
            f"the fee is {show(fee)}, and institution {institution} has {show(left)} left of its quota until block "
            f"{fund.era_ends}, or is closed; wait for the next era, or offer less"
        )
    needed = to_lab(fee) + deposit
    if needed > room:
        raise NotGranted(
            f"this takes {needed:f} LAB with its deposit, and only {room:f} more can be held for jobs of institution "
            f"{institution} at a time; cancel jobs that nobody works on, forget those that are settled, or wait"
        )
    if needed > fund.free:
        raise NotGranted(
            f"the research fund has {fund.free:f} LAB, and this takes {needed:f}; each block adds to it, so try later"
        )


async def _ask(rpc: Rpc, method: str, *params: Any) -> Any:
    try:
        return await rpc.call(method, *params)
    except RpcError as error:
        if error.code == -32601:
            raise ProtocolError(f"{rpc.where} knows no grants; is it a Labora node, and new enough?") from error
        raise
