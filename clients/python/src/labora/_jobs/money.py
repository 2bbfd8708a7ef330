"""Amounts: LAB for people, 10⁻¹² LAB on the chain."""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation

#: Smallest units of a LAB.
LAB = 10**12

#: What amounts are given as, in LAB. Floats are read as they are printed: 0.1 is a tenth.
Amount = int | str | float | Decimal

#: Enough digits for any amount of 128 bits.
_EXACT = Context(prec=60)


def to_units(amount: Amount, what: str) -> int:
    """An amount in LAB in smallest units, rounded up. ``what`` names it in the error."""
    return _up(_EXACT.multiply(_decimal(amount, what), Decimal(LAB)))


def fee_of_price(price: Amount, macs: int) -> int:
    """The fee, in smallest units and rounded up, at so many LAB for 10¹² multiply-accumulates."""
    return _up(_EXACT.multiply(_decimal(price, "price"), Decimal(macs)))


def to_lab(units: int) -> Decimal:
    """Smallest units in LAB, exactly."""
    return _EXACT.divide(Decimal(units), Decimal(LAB))


def rate_of(fee: int, macs: int) -> Decimal:
    """What a fee in smallest units pays for 10¹² multiply-accumulates, in LAB."""
    return _EXACT.divide(Decimal(fee), Decimal(macs))


def show(units: int) -> str:
    """Smallest units as text: ``0.02 LAB``."""
    text = f"{to_lab(units):f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} LAB"


def _decimal(amount: Amount, what: str) -> Decimal:
    try:
        value = Decimal(str(amount), _EXACT)
    except InvalidOperation:
        raise ValueError(f"{what} is {amount!r}; give a number of LAB") from None
    if not value.is_finite() or value < 0 or value > 10**18:
        raise ValueError(f"{what} is {amount!r}; give a number of LAB from 0 up")
    return value


def _up(value: Decimal) -> int:
    whole = int(value)
    return whole if value == whole else whole + 1
