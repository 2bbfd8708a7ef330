//! Calls: signed, sent, and followed until a block has them.

use std::time::Duration;

use labora_runtime::{
    AccountId, Balance, Hash, RuntimeCall, RuntimeEvent, SignedPayload, TxExtension,
    UncheckedExtrinsic, VERSION,
};
use parity_scale_codec::Encode;
use serde::Deserialize;
use serde_json::json;
use sp_runtime::{DispatchError, generic::Era};

use super::{At, Chain, ChainError, Record, Result, hex_of};
use crate::{account::Account, node::shown, words};

/// Blocks in which a transaction can be included; then it is void, and can be signed anew. A power of two.
pub(super) const MORTALITY: u64 = 32;

/// How often it is asked whether a transaction is in a block.
const FOLLOW_EVERY: Duration = Duration::from_millis(400);

/// Blocks of the best chain that are looked through again each time: they may be others than a moment ago.
const LOOK_BACK: u32 = 4;

/// The SDK's code for a transaction that waits already.
const ALREADY_IMPORTED: i32 = 1013;

/// A transaction that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    extrinsic: String,
    /// The best block when it was signed.
    from: At,
}

/// A transaction in a block.
#[derive(Clone, Debug)]
pub struct Included {
    /// The block.
    pub at: At,
    /// What it brought about.
    pub events: Vec<RuntimeEvent>,
}

#[derive(Deserialize)]
struct SignedBlockJson {
    block: BlockJson,
}

#[derive(Deserialize)]
struct BlockJson {
    extrinsics: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionJson {
    spec_name: String,
    spec_version: u32,
    transaction_version: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeeJson {
    partial_fee: String,
}

impl Chain {
    async fn version(&self) -> Result<VersionJson> {
        let version: VersionJson = self.ask("state_getRuntimeVersion", vec![]).await?;
        let (name, encoding) = (VERSION.spec_name.as_ref(), VERSION.transaction_version);
        if version.spec_name != name || version.transaction_version != encoding {
            return Err(ChainError::Version {
                got: format!(
                    "{} {}",
                    shown(&version.spec_name),
                    version.transaction_version
                ),
                expected: format!("{name} {encoding}"),
            });
        }
        Ok(version)
    }

    /// A signed call, and when it was signed.
    async fn signed(&self, account: &Account, call: RuntimeCall) -> Result<Sent> {
        let version = self.version().await?;
        let from = self.best().await?;
        let (_, nonce) = self.next_nonce(account.id()).await?;
        let era = Era::mortal(MORTALITY, from.number.into());
        // Of a mortal era, the block it begins with is the one that it is signed for.
        let birth = era.birth(from.number.into());
        // Its number is at most the best one's.
        let number = u32::try_from(birth).unwrap_or(u32::MAX);
        let born = self.hash_of(number).await?;
        let born = born.ok_or(ChainError::NoBlock(birth))?;
        let extension: TxExtension = (
            frame_system::CheckNonZeroSender::new(),
            frame_system::CheckSpecVersion::new(),
            frame_system::CheckTxVersion::new(),
            frame_system::CheckGenesis::new(),
            frame_system::CheckEra::from(era),
            frame_system::CheckNonce::from(nonce),
            frame_system::CheckWeight::new(),
            pallet_transaction_payment::ChargeTransactionPayment::from(0),
            frame_metadata_hash_extension::CheckMetadataHash::new(false),
            frame_system::WeightReclaim::new(),
        );
        let implied = (
            (),
            version.spec_version,
            version.transaction_version,
            self.genesis,
            born,
            (),
            (),
            (),
            None,
            (),
        );
        let payload = SignedPayload::from_raw(call.clone(), extension.clone(), implied);
        let signature = payload.using_encoded(|bytes| account.sign(bytes));
        let address = account.id().clone().into();
        let extrinsic = UncheckedExtrinsic::new_signed(call, address, signature, extension);
        Ok(Sent {
            extrinsic: hex_of(&extrinsic.encode()),
            from,
        })
    }

    /// What a call would cost its sender as a transaction, beside what it moves; nothing is sent.
    ///
    /// # Errors
    ///
    /// Those of the node.
    pub async fn fee(&self, account: &Account, call: RuntimeCall) -> Result<Balance> {
        let signed = self.signed(account, call).await?;
        let fee: FeeJson = self
            .ask("payment_queryInfo", vec![json!(signed.extrinsic)])
            .await?;
        fee.partial_fee
            .parse()
            .map_err(|_| ChainError::State("fee"))
    }

    /// Signs and sends a call.
    ///
    /// # Errors
    ///
    /// Those of the node, and its refusal.
    pub async fn send(&self, account: &Account, call: RuntimeCall) -> Result<Sent> {
        // Until the node has it, so that the next one gets the next number.
        let _turn = self.sending.lock().await;
        let sent = self.signed(account, call).await?;
        let hash: Result<Hash> = self
            .ask("author_submitExtrinsic", vec![json!(sent.extrinsic)])
            .await;
        match hash {
            Ok(_) => Ok(sent),
            Err(ChainError::Call(error)) if error.code() == Some(ALREADY_IMPORTED) => Ok(sent),
            Err(error) => Err(error),
        }
    }

    /// Waits until a block of the best chain has it, and says what it brought about.
    ///
    /// # Errors
    ///
    /// [`ChainError::Undone`] with the chain's reason, [`ChainError::Dropped`] if its time is over, and those of the node.
    pub async fn outcome(&self, sent: &Sent) -> Result<Included> {
        let last = sent.from.number.saturating_add(MORTALITY as u32);
        let mut next = sent.from.number.saturating_add(1);
        loop {
            let best = self.best().await?;
            let from = next
                .saturating_sub(LOOK_BACK)
                .max(sent.from.number.saturating_add(1));
            for number in from..=best.number {
                if let Some(included) = self.in_block(number, sent).await? {
                    return included;
                }
            }
            next = best.number.saturating_add(1);
            // A few blocks more, as a branch may turn out to be the best one that had it.
            if best.number > last.saturating_add(LOOK_BACK) {
                return Err(ChainError::Dropped);
            }
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
    }

    /// What became of a transaction in the block of the best chain that has this number, if it is in it.
    async fn in_block(&self, number: u32, sent: &Sent) -> Result<Option<Result<Included>>> {
        let Some(hash) = self.hash_of(number).await? else {
            return Ok(None);
        };
        let block: Option<SignedBlockJson> = self.ask("chain_getBlock", vec![json!(hash)]).await?;
        let extrinsics = block
            .map(|block| block.block.extrinsics)
            .unwrap_or_default();
        let Some(index) = extrinsics.iter().position(|it| *it == sent.extrinsic) else {
            return Ok(None);
        };
        let records = self.events(hash).await?;
        let ours = |record: &Record| matches!(record.phase, frame_system::Phase::ApplyExtrinsic(at) if at as usize == index);
        let events: Vec<RuntimeEvent> = records
            .into_iter()
            .filter(ours)
            .map(|record| record.event)
            .collect();
        let undone = events.iter().find_map(undone_by);
        Ok(Some(match undone {
            Some(error) => Err(ChainError::Undone(words::why(error))),
            None => Ok(Included {
                at: At { number, hash },
                events,
            }),
        }))
    }

    /// Sends a call and waits for what becomes of it; see [`Chain::send`] and [`Chain::outcome`].
    pub async fn call(&self, account: &Account, call: RuntimeCall) -> Result<Included> {
        let sent = self.send(account, call).await?;
        self.outcome(&sent).await
    }

    /// Waits until no transaction of the account waits, so that the state tells all that it has done; for at most as long as
    /// one can wait.
    pub async fn settled(&self, account: &AccountId) -> Result<()> {
        let from = self.best().await?.number;
        loop {
            let (settled, waiting) = self.next_nonce(account).await?;
            let best = self.best().await?.number;
            if waiting <= settled || best > from.saturating_add(MORTALITY as u32 + LOOK_BACK) {
                return Ok(());
            }
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
    }
}

fn undone_by(event: &RuntimeEvent) -> Option<DispatchError> {
    match event {
        RuntimeEvent::System(frame_system::Event::ExtrinsicFailed { dispatch_error, .. }) => {
            Some(*dispatch_error)
        }
        _ => None,
    }
}
