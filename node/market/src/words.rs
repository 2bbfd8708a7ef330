//! Amounts and refusals, as people read and write them.

use labora_runtime::{LAB, Runtime, RuntimeError};
use scale_info::{TypeDef, TypeInfo};
use sp_core::U256;
use sp_runtime::{DispatchError, Perbill};

/// Decimal places of a LAB.
const PLACES: usize = 12;

/// What prices are for: 10¹² multiply-accumulates.
const TERA: u64 = 1_000_000_000_000;

/// An amount in LAB, to six places; what is less is said to be.
pub fn lab(amount: u128) -> String {
    let micro = amount / (LAB / 1_000_000);
    if micro == 0 && amount > 0 {
        return "less than 0.000001 LAB".into();
    }
    let fraction = format!("{:06}", micro % 1_000_000);
    match fraction.trim_end_matches('0') {
        "" => format!("{} LAB", micro / 1_000_000),
        fraction => format!("{}.{fraction} LAB", micro / 1_000_000),
    }
}

/// Not an amount.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected an amount of LAB with at most {PLACES} decimal places, such as 0.25")]
pub struct NoAmount;

/// Reads an amount in LAB, exactly; what follows a space, such as `LAB`, must be that.
///
/// # Errors
///
/// If it is none, or more than there can be.
pub fn parse_lab(text: &str) -> Result<u128, NoAmount> {
    let text = text.trim();
    let number = text.strip_suffix("LAB").map_or(text, str::trim_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    let is_empty = whole.is_empty() && fraction.is_empty();
    if is_empty || !is_digits(whole) || !is_digits(fraction) || fraction.len() > PLACES {
        return Err(NoAmount);
    }
    let whole: u128 = match whole {
        "" => 0,
        whole => whole.parse().map_err(|_| NoAmount)?,
    };
    // Twelve digits fit.
    let fraction: u128 = format!("{fraction:0<PLACES$}")
        .parse()
        .map_err(|_| NoAmount)?;
    let whole = whole.checked_mul(LAB).ok_or(NoAmount)?;
    whole.checked_add(fraction).ok_or(NoAmount)
}

/// A share in billionths of an amount, rounded down as the market does.
pub fn share(amount: u128, ppb: u32) -> u128 {
    Perbill::from_parts(ppb).mul_floor(amount)
}

/// What a fee pays for 10¹² multiply-accumulates, in the token's smallest unit.
pub fn rate(fee: u128, macs: u64) -> u128 {
    let whole = U256::from(fee) * U256::from(TERA) / U256::from(macs.max(1));
    u128::try_from(whole).unwrap_or(u128::MAX)
}

/// The fee of so many multiply-accumulates at a rate, rounded up.
pub fn fee_at(rate: u128, macs: u64) -> u128 {
    let whole = (U256::from(rate) * U256::from(macs)).saturating_add(U256::from(TERA - 1))
        / U256::from(TERA);
    u128::try_from(whole).unwrap_or(u128::MAX)
}

/// Why the chain undid a call.
pub fn why(error: DispatchError) -> String {
    let named = RuntimeError::from_dispatch_error(error);
    let documented = match &named {
        Some(RuntimeError::Jobs(error)) => docs::<pallet_jobs::Error<Runtime>>(&name(error)),
        Some(RuntimeError::Grants(error)) => docs::<pallet_grants::Error<Runtime>>(&name(error)),
        Some(RuntimeError::Balances(error)) => {
            docs::<pallet_balances::Error<Runtime>>(&name(error))
        }
        Some(RuntimeError::Staking(error)) => docs::<pallet_staking::Error<Runtime>>(&name(error)),
        Some(RuntimeError::NominationPools(error)) => {
            docs::<pallet_nomination_pools::Error<Runtime>>(&name(error))
        }
        _ => None,
    };
    match (documented, named) {
        (Some(docs), _) => docs,
        (None, Some(named)) => format!("{named:?}"),
        (None, None) => match error {
            DispatchError::Token(error) => <&str>::from(error).into(),
            error => format!("{error:?}"),
        },
    }
}

fn name(error: &impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

/// The sentence above a variant, without its full stop.
fn docs<E: TypeInfo>(variant: &str) -> Option<String> {
    let TypeDef::Variant(variants) = E::type_info().type_def else {
        return None;
    };
    let found = variants
        .variants
        .into_iter()
        .find(|it| it.name == variant)?;
    let docs = found.docs.join(" ");
    Some(docs.trim().trim_end_matches('.').to_owned()).filter(|docs| !docs.is_empty())
}

#[cfg(test)]
mod tests {
    use sp_runtime::TokenError;

    use super::*;

    #[test]
    fn amounts_are_written_and_read() {
        for (amount, text) in [
            (0, "0 LAB"),
            (1, "less than 0.000001 LAB"),
            (LAB, "1 LAB"),
            (LAB / 4, "0.25 LAB"),
            (1_234_567 * (LAB / 1_000_000), "1.234567 LAB"),
            (u128::MAX, "340282366920938463463374607.431768 LAB"),
        ] {
            assert_eq!(lab(amount), text);
        }
        for (text, amount) in [
            ("0.25", Ok(LAB / 4)),
            ("3 LAB", Ok(3 * LAB)),
            (".5", Ok(LAB / 2)),
            ("2.", Ok(2 * LAB)),
            ("0.000000000001", Ok(1)),
            ("0.0000000000001", Err(NoAmount)),
            ("", Err(NoAmount)),
            (".", Err(NoAmount)),
            ("-1", Err(NoAmount)),
            ("1e3", Err(NoAmount)),
            ("999999999999999999999999999999999999999", Err(NoAmount)),
        ] {
            assert_eq!(parse_lab(text), amount, "{text}");
        }
    }

    #[test]
    fn a_fee_at_a_rate_pays_at_least_that_rate() {
        for (at, macs) in [(1, 1), (LAB, 1 << 30), (7, TERA), (u128::MAX, u64::MAX)] {
            let fee = fee_at(at, macs);
            assert!(fee == u128::MAX || rate(fee, macs) >= at, "{at} {macs}");
        }
    }

    #[test]
    fn refusals_are_sentences() {
        let jobs = pallet_jobs::Error::<Runtime>::TooManyClaims.into();
        assert_eq!(
            why(jobs),
            "The account has as many open claims as its settled jobs allow"
        );
        let grants = pallet_grants::Error::<Runtime>::OverQuota.into();
        assert!(why(grants).contains("quota in this era"));
        let staking = pallet_staking::Error::<Runtime>::NotStash.into();
        assert!(why(staking).contains(' '));
        let pools = pallet_nomination_pools::Error::<Runtime>::PoolNotFound.into();
        assert!(why(pools).contains(' '));
        let balances = pallet_balances::Error::<Runtime>::InsufficientBalance.into();
        assert!(why(balances).to_lowercase().contains("balance"));
        assert!(!why(DispatchError::Token(TokenError::FundsUnavailable)).is_empty());
        assert_eq!(why(DispatchError::BadOrigin), "BadOrigin");
    }
}
