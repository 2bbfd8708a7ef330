//! From a call to its outcome: what it costs is shown, somebody says yes, it is signed, sent and followed.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use labora_market::{
    account::Account,
    chain::{Chain, ChainError, Included, Money},
    node::Remote,
    words::lab,
};
use labora_runtime::{RuntimeCall, RuntimeEvent};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    WalletError,
    flags::{ActParams, NodeParams},
    show::{Out, warn},
};
use crate::miner::NodeUrl;

/// Longest answer to a question.
const MAX_REPLY: u64 = 64;

/// What is under way, for whoever interrupts it.
#[derive(Debug, Default)]
pub(super) struct Trace(Mutex<Option<String>>);

impl Trace {
    fn set(&self, what: Option<String>) {
        *self.0.lock() = what;
    }

    /// What is said where somebody interrupts.
    pub(super) fn interrupted(&self) -> String {
        self.sent().unwrap_or_else(|| "stopped".into())
    }

    /// What is said of a transaction that was sent, and of which nothing was heard.
    pub(super) fn sent(&self) -> Option<String> {
        let sent = self.0.lock();
        sent.as_ref().map(|sent| {
            format!(
                "stopped, but {sent} was sent and may still come into a block; look before you send it again"
            )
        })
    }
}

/// The chain, and what is under way.
pub(super) struct Wallet<'a> {
    /// The chain.
    pub chain: Chain,
    trace: &'a Trace,
}

impl<'a> Wallet<'a> {
    /// Connects to a node.
    ///
    /// # Errors
    ///
    /// If it cannot be reached, or is none of Labora's.
    pub(super) async fn connect(
        params: &NodeParams,
        trace: &'a Trace,
    ) -> Result<Self, WalletError> {
        let url = params.url();
        let fine = NodeUrl::new(&url);
        fine.map_err(|error| WalletError::sentence(format!("--node {url}: {error}")))?;
        let chain = Chain::of(std::sync::Arc::new(Remote::new(url))).await?;
        Ok(Self { chain, trace })
    }
}

/// A line of what a call costs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Cost {
    /// What it is.
    pub what: String,
    /// How much, in the token's smallest unit.
    pub amount: u128,
    /// Who gets it, and when.
    pub note: String,
}

impl Cost {
    /// With a note.
    pub(super) fn new(what: &str, amount: u128, note: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            amount,
            note: note.into(),
        }
    }
}

/// A call that may be signed, and what is said about it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// What it is, as an order: `Send 5 LAB to …`.
    pub title: String,
    /// The call.
    pub call: RuntimeCall,
    /// What it takes from the account's free money beside the transaction's fee.
    pub costs: Vec<Cost>,
    /// What else is to be known before, as sentences.
    pub notes: Vec<String>,
    /// Whether the transaction costs nothing where it does something.
    pub is_free: bool,
}

impl Plan {
    /// Without costs and notes.
    pub(super) fn new(title: impl Into<String>, call: RuntimeCall) -> Self {
        Self {
            title: title.into(),
            call,
            costs: Vec::new(),
            notes: Vec::new(),
            is_free: false,
        }
    }

    /// With something that it takes.
    pub(super) fn costs(mut self, what: &str, amount: u128, note: impl Into<String>) -> Self {
        self.costs.push(Cost::new(what, amount, note));
        self
    }

    /// With something to be known.
    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// For no fee, where it does something.
    pub(super) fn free(mut self) -> Self {
        self.is_free = true;
        self
    }
}

/// A plan with its price.
pub(super) struct Quote {
    plan: Plan,
    fee: u128,
    money: Money,
}

impl Quote {
    /// Asks the node what a plan costs.
    ///
    /// # Errors
    ///
    /// Those of the node.
    pub(super) async fn of(
        plan: Plan,
        wallet: &Wallet<'_>,
        account: &Account,
    ) -> Result<Self, WalletError> {
        let fee = wallet.chain.fee(account, plan.call.clone()).await?;
        let money = wallet.chain.money(account.id()).await?;
        Ok(Self { plan, fee, money })
    }

    /// What it takes of the account's free money.
    fn total(&self) -> u128 {
        let costs = self.plan.costs.iter().map(|cost| cost.amount);
        costs.fold(self.fee, u128::saturating_add)
    }

    /// The table of what it costs.
    fn rows(&self) -> Vec<[String; 3]> {
        let mut rows = vec![[String::new(), "LAB".into(), " ".into()]];
        let figure = |amount: u128| lab(amount).trim_end_matches(" LAB").to_owned();
        for cost in &self.plan.costs {
            rows.push([cost.what.clone(), figure(cost.amount), cost.note.clone()]);
        }
        let note = match self.plan.is_free {
            true => "for the block's author and burned; given back if there was something to do",
            false => "for the block's author and burned",
        };
        rows.push(["transaction".into(), figure(self.fee), note.into()]);
        let left = self.money.free.saturating_sub(self.total());
        if !self.plan.costs.is_empty() {
            let note = format!(
                "of {} free, so {} are left",
                lab(self.money.free),
                lab(left)
            );
            rows.push(["together".into(), figure(self.total()), note]);
        }
        rows
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let costs = self.plan.costs.iter();
        let costs = costs.map(|cost| json!({"what": cost.what, "amount": cost.amount.to_string()}));
        json!({
            "what": self.plan.title,
            "costs": costs.collect::<Vec<_>>(),
            "fee": self.fee.to_string(),
            "total": self.total().to_string(),
            "free": self.money.free.to_string(),
        })
    }

    /// Shows it and asks whether it is to be done; whether it is.
    ///
    /// # Errors
    ///
    /// If there is too little money, there is nobody to ask, or the answer is no.
    pub(super) async fn agreed(
        &self,
        account: &Account,
        how: &ActParams,
    ) -> Result<bool, WalletError> {
        let out = Out::new(how.json);
        out.say(&format!("{}, signed by {}.", self.plan.title, account.id()))?;
        out.table(&self.rows())?;
        for note in &self.plan.notes {
            out.say(note)?;
        }
        if self.total() > self.money.free {
            return Err(WalletError::Short {
                who: account.id().to_string(),
                free: self.money.free,
                needs: self.total(),
            });
        }
        if how.dry_run {
            out.say("Nothing was sent (--dry-run).")?;
            let mut value = self.json();
            value["dryRun"] = true.into();
            out.json(&value)?;
            return Ok(false);
        }
        match how.yes || ask("Do it?").await? {
            true => Ok(true),
            false => Err(WalletError::Declined),
        }
    }

    /// Signs, sends and follows it.
    ///
    /// # Errors
    ///
    /// Those of the node, and the chain's refusal.
    pub(super) async fn send(
        &self,
        wallet: &Wallet<'_>,
        account: &Account,
    ) -> Result<Included, WalletError> {
        let call = self.plan.call.clone();
        let refused = |error: ChainError| match error {
            ChainError::Undone(_) | ChainError::Dropped => WalletError::Refused(error),
            error => WalletError::Chain(error),
        };
        let sent = wallet.chain.send(account, call).await.map_err(refused)?;
        wallet.trace.set(Some(format!("“{}”", self.plan.title)));
        let included = wallet.chain.outcome(&sent).await;
        wallet.trace.set(None);
        included.map_err(refused)
    }

    /// Says in which block it is, with what came of it: sentences for people, and more for programs.
    pub(super) fn report(
        &self,
        included: &Included,
        out: Out,
        sentences: &[String],
        more: &[(&str, Value)],
    ) -> Result<(), WalletError> {
        let fee = paid_fee(included).map(|fee| format!(", for a fee of {}", lab(fee)));
        let fee = fee.unwrap_or_default();
        out.say(&format!("Done in block {}{fee}.", included.at.number))?;
        for sentence in sentences {
            out.say(sentence)?;
        }
        let mut value = self.json();
        value["block"] = included.at.number.into();
        value["blockHash"] = json!(included.at.hash);
        value["paidFee"] = json!(paid_fee(included).map(|fee| fee.to_string()));
        for (name, what) in more {
            value[*name] = what.clone();
        }
        out.json(&value)
    }
}

/// What a transaction cost in the end: less than was reckoned with, or nothing, if it did less.
fn paid_fee(included: &Included) -> Option<u128> {
    included.events.iter().find_map(|event| match event {
        RuntimeEvent::TransactionPayment(
            pallet_transaction_payment::Event::TransactionFeePaid { actual_fee, .. },
        ) => Some(*actual_fee),
        _ => None,
    })
}

/// Does a plan: shows it, asks, sends, reports. What came of it, unless it was only to be shown.
///
/// # Errors
///
/// Those of [`Quote::agreed`] and [`Quote::send`].
pub(super) async fn act(
    wallet: &Wallet<'_>,
    account: &Account,
    how: &ActParams,
    plan: Plan,
) -> Result<Option<Included>, WalletError> {
    let quote = Quote::of(plan, wallet, account).await?;
    if !quote.agreed(account, how).await? {
        return Ok(None);
    }
    let included = quote.send(wallet, account).await?;
    quote.report(&included, Out::new(how.json), &[], &[])?;
    Ok(Some(included))
}

/// Asks whoever sits at the terminal; only `yes` is yes.
async fn ask(question: &str) -> Result<bool, WalletError> {
    if !io::stdin().is_terminal() {
        return Err(WalletError::NeedsYes);
    }
    // Not where JSON goes.
    write!(io::stderr(), "{question} Type yes: ")?;
    io::stderr().flush()?;
    let reply = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        let mut input = io::stdin().lock().take(MAX_REPLY);
        input.read_line(&mut line).map(|_| line)
    });
    let line = reply.await.map_err(io::Error::other)??;
    if !line.ends_with('\n') {
        warn("no answer");
    }
    Ok(line.trim().eq_ignore_ascii_case("yes"))
}

#[cfg(test)]
mod tests {
    use labora_runtime::LAB;
    use sp_keyring::Sr25519Keyring;

    use super::*;

    fn quote(costs: &[u128], fee: u128, free: u128) -> Quote {
        let call = pallet_balances::Call::transfer_keep_alive {
            dest: Sr25519Keyring::Bob.to_account_id().into(),
            value: 1,
        };
        let mut plan = Plan::new("Send it", RuntimeCall::Balances(call));
        for cost in costs {
            plan = plan.costs("amount", *cost, "to somebody");
        }
        let money = Money { free, held: 0 };
        Quote { plan, fee, money }
    }

    #[test]
    fn a_table_adds_up_what_is_taken() {
        let quote = quote(&[2 * LAB, LAB / 2], LAB / 1_000, 10 * LAB);
        assert_eq!(quote.total(), 2_501 * LAB / 1_000);
        let mut text = Vec::new();
        crate::table::write(&quote.rows(), &mut text).expect("memory");
        let expected = "             LAB
amount       2      to somebody
amount       0.5    to somebody
transaction  0.001  for the block's author and burned
together     2.501  of 10 LAB free, so 7.499 LAB are left
";
        assert_eq!(String::from_utf8_lossy(&text), expected);
        assert_eq!(quote.json()["total"], "2501000000000");
        let without = self::quote(&[], LAB, 10 * LAB);
        assert_eq!(without.rows().len(), 2);
        let too_much = self::quote(&[u128::MAX, u128::MAX], LAB, 1);
        assert_eq!(too_much.total(), u128::MAX);
    }

    #[test]
    fn what_is_under_way_is_told_to_who_interrupts_it() {
        let trace = Trace::default();
        assert_eq!(trace.interrupted(), "stopped");
        trace.set(Some("“Send it”".into()));
        assert!(trace.interrupted().contains("“Send it” was sent"));
        trace.set(None);
        assert_eq!(trace.interrupted(), "stopped");
    }
}
