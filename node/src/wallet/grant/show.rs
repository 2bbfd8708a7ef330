//! `labora grant list`, `show` and `of`: what the chain says of the research fund.

use clap::Args;
use labora_market::{
    grants::{FundInfo, InstitutionInfo, StandingInfo},
    node::shown,
    words::lab,
};
use labora_runtime::AccountId;
use pallet_grants::InstitutionId;
use serde_json::json;

use super::{figure, institution};
use crate::wallet::{
    WalletError,
    act::{Trace, Wallet},
    flags::{ReadParams, ShowOptions},
    show::{Out, count, macs, short, time_of},
};

/// Most institutions that a node gives at a time.
const PAGE: u32 = 100;

/// Most pages that are asked for.
const MAX_PAGES: usize = 100;

/// How institutions are listed.
#[derive(Args, Clone, Debug)]
pub struct GrantListOptions {
    /// How.
    #[clap(flatten)]
    pub read: ReadParams,
}

/// Which institution is shown.
#[derive(Args, Clone, Debug)]
pub struct GrantShowOptions {
    /// Number of the institution.
    #[arg(value_name = "INSTITUTION")]
    pub institution: InstitutionId,

    /// How.
    #[clap(flatten)]
    pub read: ReadParams,
}

/// What the fund has and pays, in a sentence.
fn of_fund(fund: &FundInfo) -> Result<String, WalletError> {
    Ok(format!(
        "The research fund has {}, and pays at most {} per 10¹² multiply-accumulates, for jobs that are open for at most {} and hold \
         at most {} of an institution's at a time. Era {} lasts until block {}.",
        lab(figure(&fund.free)?),
        lab(figure(&fund.max_rate)?),
        count(fund.open_blocks.into(), "block"),
        count(fund.held_quotas.into(), "quota"),
        fund.era,
        fund.era_ends
    ))
}

/// Whether it is open, in a word.
fn state(it: &InstitutionInfo) -> &'static str {
    match it.closed {
        true => "closed",
        false => "open",
    }
}

fn row(it: &InstitutionInfo) -> Result<[String; 10], WalletError> {
    let ledger = &it.ledger;
    Ok([
        it.institution.to_string(),
        shown(&it.name),
        state(it).into(),
        it.member_count.to_string(),
        lab(figure(&it.quota)?),
        lab(figure(&it.left)?),
        macs(figure(&ledger.macs_received)?),
        lab(figure(&ledger.paid)?),
        macs(figure(&ledger.macs_contributed)?),
        short(&it.admin),
    ])
}

/// Lists institutions.
pub(super) async fn list(options: &GrantListOptions, trace: &Trace) -> Result<(), WalletError> {
    let wallet = Wallet::connect(&options.read.node, trace).await?;
    let fund = wallet.chain.fund().await?;
    let (mut institutions, mut below) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let page = wallet.chain.institutions(below, PAGE).await?;
        institutions.extend(page.institutions.into_iter().take(PAGE as usize));
        // A node that goes round in circles is not followed.
        below = page
            .below
            .filter(|next| below.is_none_or(|below| *next < below));
        if below.is_none() {
            break;
        }
    }
    let out = Out::new(options.read.json);
    out.json(&json!({"fund": fund, "institutions": institutions}))?;
    if out == Out::Programs {
        return Ok(());
    }
    out.say(&of_fund(&fund)?)?;
    if institutions.is_empty() {
        return out
            .say("No institution was admitted. → labora grant admit SS58 --name TEXT --quota LAB");
    }
    let head = [
        "institution",
        "name",
        "",
        "members",
        "an era",
        "left",
        "received",
        "paid by the fund",
        "contributed",
        "admin",
    ];
    let mut rows = vec![head.map(String::from)];
    for it in &institutions {
        rows.push(row(it)?);
    }
    out.table(&rows)
}

/// Shows an institution.
pub(super) async fn show(options: &GrantShowOptions, trace: &Trace) -> Result<(), WalletError> {
    let wallet = Wallet::connect(&options.read.node, trace).await?;
    let it = institution(&wallet.chain, options.institution).await?;
    let out = Out::new(options.read.json);
    out.json(&it)?;
    if out == Out::Programs {
        return Ok(());
    }
    let fund = wallet.chain.fund().await?;
    let now = wallet.chain.best().await?.number;
    let ends = time_of(fund.era_ends.saturating_sub(now), wallet.chain.block_ms());
    let ledger = &it.ledger;
    let account = it.people.as_ref().map(|people| people.account.to_string());
    out.pairs(&[
        ("institution", it.institution.to_string()),
        ("name", shown(&it.name)),
        ("", state(&it).into()),
        ("admin", it.admin.to_string()),
        ("account", account.unwrap_or_default()),
        ("quota of an era", lab(figure(&it.quota)?)),
        (
            "left",
            format!(
                "{} until block {}, about {ends}",
                lab(figure(&it.left)?),
                fund.era_ends
            ),
        ),
        ("jobs paid", count(ledger.settled, "job")),
        ("received", macs(figure(&ledger.macs_received)?)),
        ("paid by the fund", lab(figure(&ledger.paid)?)),
        ("blocks of its rigs", count(ledger.blocks, "block")),
        ("contributed", macs(figure(&ledger.macs_contributed)?)),
    ])?;
    let mut rows = vec![["account", "is"].map(String::from)];
    let people = it.people.into_iter();
    for (of, what) in people.flat_map(|people| {
        [
            (people.members, "member"),
            (people.invited, "invited"),
            (people.rigs, "rig"),
            (people.offers, "offers to be a rig"),
        ]
    }) {
        rows.extend(of.iter().map(|who| [who.to_string(), what.into()]));
    }
    match rows.len() {
        1 => out.say("Nobody belongs to it yet."),
        _ => out.table(&rows),
    }
}

/// What an account has to do with grants, in sentences.
fn sentences(
    who: &AccountId,
    standing: &StandingInfo,
    name: Option<&str>,
) -> Result<Vec<String>, WalletError> {
    let mut told = vec![match standing.member_of {
        Some(number) => format!(
            "{who} is a member of institution {number} (“{}”), which has {} left of its quota until block {}; {} more can be held \
             for its jobs at a time. → labora grant post",
            shown(name.unwrap_or_default()),
            lab(figure(&standing.left)?),
            standing.era_ends,
            lab(figure(&standing.room)?)
        ),
        None => format!("{who} is a member of no institution. → labora grant list"),
    }];
    told.push(match (standing.rig_of, standing.accepted) {
        (Some(number), true) => {
            format!("Its blocks are counted as those of institution {number}.")
        }
        (Some(number), false) => format!(
            "It offers its blocks to institution {number}, whose admin has to accept: labora grant accept-rig {who}"
        ),
        (None, _) => "It mines for no institution.".into(),
    });
    Ok(told)
}

/// Shows what an account has to do with grants.
pub(super) async fn standing(options: &ShowOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.key.who(options.account.as_ref())?;
    let wallet = Wallet::connect(&options.read.node, trace).await?;
    let standing = wallet.chain.standing(&account).await?;
    let out = Out::new(options.read.json);
    out.json(&standing)?;
    if out == Out::Programs {
        return Ok(());
    }
    let its = match standing.member_of {
        Some(number) => wallet.chain.institution(number).await?,
        None => None,
    };
    let name = its.as_ref().map(|it| it.name.as_str());
    for sentence in sentences(&account, &standing, name)? {
        out.say(&sentence)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use labora_runtime::LAB;
    use sp_keyring::Sr25519Keyring::Alice;

    use super::*;

    #[test]
    fn an_accounts_part_is_told_in_words() {
        let of = |member_of, rig_of, accepted| StandingInfo {
            member_of,
            left: (5 * LAB / 2).to_string(),
            room: LAB.to_string(),
            rig_of,
            accepted,
            era: 3,
            era_ends: 240,
        };
        let told = |standing: &StandingInfo| {
            let told = sentences(&Alice.to_account_id(), standing, Some("Shelf"));
            told.expect("figures").join("\n")
        };
        let member = told(&of(Some(2), Some(2), true));
        for word in [
            "institution 2 (“Shelf”)",
            "2.5 LAB left",
            "until block 240",
            "1 LAB more can be held",
            "are counted as those of institution 2",
        ] {
            assert!(member.contains(word), "{word}: {member}");
        }
        let offers = told(&of(None, Some(1), false));
        assert!(
            offers.contains("no institution") && offers.contains("accept-rig"),
            "{offers}"
        );
        assert!(told(&of(None, None, false)).contains("mines for no institution"));
        let nonsense = StandingInfo {
            left: "much".into(),
            ..of(Some(2), None, false)
        };
        assert!(sentences(&Alice.to_account_id(), &nonsense, None).is_err());
    }
}
