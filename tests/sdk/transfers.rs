//! Signed transfers, as a wallet makes them. Part of the targets that send many; the library is free of the SDK.

use futures::{StreamExt, TryStreamExt, stream};
use labora_runtime::{
    BalancesCall, Hash, RuntimeCall, SignedPayload, TxExtension, UncheckedExtrinsic, VERSION,
};
use labora_tests::{Outcome, rpc::Rpc, rpc::hex_of};
use parity_scale_codec::Encode;
use sp_keyring::Sr25519Keyring;
use sp_runtime::generic::Era;

/// The pool has the transaction: to a client, a success. A pool that builds its view of a new block while it takes a
/// transaction may find it there already.
const ALREADY_IMPORTED: i32 = 1013;

/// What one transfer moves: a millionth of a coin.
const VALUE: u128 = 1_000_000;

/// Requests under way at once.
const AT_A_TIME: usize = 8;

/// Most transfers in one go, so that whoever sends them sees the blocks that come meanwhile.
const MOST_AT_ONCE: u64 = 1_000;

const FROM: Sr25519Keyring = Sr25519Keyring::Bob;
const TO: Sr25519Keyring = Sr25519Keyring::Charlie;

/// Sends transfers from one account to another, each with the next nonce.
pub struct Transfers {
    genesis: Hash,
    nonce: u32,
}

impl Transfers {
    /// From the first transfer that is not on the chain yet.
    pub async fn of_chain(rpc: &Rpc) -> Outcome<Self> {
        let genesis = rpc.hash_at(0).await?.ok_or("a chain has a first block")?;
        let sender = FROM.to_account_id().to_string();
        let nonce = rpc
            .call("system_accountNextIndex", &[sender.into()])
            .await?;
        Ok(Self {
            genesis: genesis.parse()?,
            nonce,
        })
    }

    /// Submits until the sender has sent so many on this chain, a few at a time; not all of them now where many are missing.
    pub async fn submit_up_to(&mut self, rpc: &Rpc, total: u64) -> Outcome {
        let count = total.saturating_sub(self.nonce.into()).min(MOST_AT_ONCE);
        let signed: Vec<String> = (0..count).map(|_| self.next()).collect();
        stream::iter(signed)
            .map(|transfer| submit(rpc, transfer))
            .buffered(AT_A_TIME)
            .try_collect()
            .await
    }

    /// The next transfer, as bytes in hex.
    fn next(&mut self) -> String {
        let signed = hex_of(&self.signed().encode());
        self.nonce += 1;
        signed
    }

    fn signed(&self) -> UncheckedExtrinsic {
        let extension: TxExtension = (
            frame_system::CheckNonZeroSender::new(),
            frame_system::CheckSpecVersion::new(),
            frame_system::CheckTxVersion::new(),
            frame_system::CheckGenesis::new(),
            frame_system::CheckEra::from(Era::Immortal),
            frame_system::CheckNonce::from(self.nonce),
            frame_system::CheckWeight::new(),
            pallet_transaction_payment::ChargeTransactionPayment::from(0),
            frame_metadata_hash_extension::CheckMetadataHash::new(false),
            frame_system::WeightReclaim::new(),
        );
        let known = (
            (),
            VERSION.spec_version,
            VERSION.transaction_version,
            self.genesis,
            self.genesis,
            (),
            (),
            (),
            None,
            (),
        );
        let call: RuntimeCall = BalancesCall::transfer_keep_alive {
            dest: TO.to_account_id().into(),
            value: VALUE,
        }
        .into();
        let payload = SignedPayload::from_raw(call.clone(), extension.clone(), known);
        let signature = payload.using_encoded(|bytes| FROM.sign(bytes)).into();
        UncheckedExtrinsic::new_signed(call, FROM.to_account_id().into(), signature, extension)
    }
}

async fn submit(rpc: &Rpc, transfer: String) -> Outcome {
    match rpc
        .attempt("author_submitExtrinsic", &[transfer.into()])
        .await?
    {
        Err(refusal) if refusal.code != ALREADY_IMPORTED => {
            Err(format!("a transfer was refused: {refusal:?}").into())
        }
        _ => Ok(()),
    }
}

/// Transactions in a block. Two extrinsics are inherents: the time, and the parent's header.
pub async fn carried_by(rpc: &Rpc, block: &str) -> Outcome<u64> {
    let block: serde_json::Value = rpc.call("chain_getBlock", &[block.into()]).await?;
    let extrinsics = block["block"]["extrinsics"].as_array().ok_or("no body")?;
    Ok(extrinsics.len().saturating_sub(2) as u64)
}
