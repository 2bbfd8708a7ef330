//! Signed transfers, as a wallet makes them.

use labora_runtime::{
    BalancesCall, Hash, RuntimeCall, SignedPayload, TxExtension, UncheckedExtrinsic, VERSION,
};
use labora_tests::{Outcome, rpc::Rpc, rpc::hex_of};
use parity_scale_codec::Encode;
use sp_keyring::Sr25519Keyring;
use sp_runtime::generic::Era;

/// What one transfer moves: a millionth of a coin.
const VALUE: u128 = 1_000_000;

/// Sends transfers from one account to another, each with the next nonce.
pub struct Transfers {
    genesis: Hash,
    nonce: u32,
}

impl Transfers {
    /// The first transfer of a chain.
    pub async fn of_chain(rpc: &Rpc) -> Outcome<Self> {
        let genesis = rpc.hash_at(0).await?.ok_or("a chain has a first block")?;
        Ok(Self {
            genesis: genesis.parse()?,
            nonce: 0,
        })
    }

    /// Submits so many.
    pub async fn submit(&mut self, rpc: &Rpc, count: u32) -> Outcome {
        for _ in 0..count {
            let transfer = hex_of(&self.next().encode());
            let _: String = rpc
                .call("author_submitExtrinsic", &[transfer.into()])
                .await?;
            self.nonce += 1;
        }
        Ok(())
    }

    fn next(&self) -> UncheckedExtrinsic {
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
        let (from, to) = (Sr25519Keyring::Bob, Sr25519Keyring::Charlie);
        let call: RuntimeCall = BalancesCall::transfer_keep_alive {
            dest: to.to_account_id().into(),
            value: VALUE,
        }
        .into();
        let payload = SignedPayload::from_raw(call.clone(), extension.clone(), known);
        let signature = payload.using_encoded(|bytes| from.sign(bytes)).into();
        UncheckedExtrinsic::new_signed(call, from.to_account_id().into(), signature, extension)
    }
}
