//! How far up the best chain GRANDPA's votes go: never to a block whose work this node has no evidence of.

use std::sync::Arc;

use sc_client_api::AuxStore;
use sc_consensus_grandpa::{
    BeforeBestBlockBy, ThreeQuartersOfTheUnfinalizedChain, VotingRule, VotingRuleResult,
    VotingRulesBuilder,
};
use sp_blockchain::HeaderBackend;
use sp_core::H256;
use sp_runtime::traits::{Block as BlockT, Header, NumberFor};

use crate::{chain::number_of, error::EngineError, store::vouched_by};

/// Votes are at least so many blocks behind the best one, which may still lose to another of its height.
const BEHIND_BEST: u32 = 1;

/// How far up the chosen chain votes go: not to the newest block, at most three quarters of what is not final, and only
/// as far as all blocks are proved, by their work or by finality.
pub fn voting_rules<B, C>() -> impl VotingRule<B, C> + Clone + 'static
where
    B: BlockT<Hash = H256>,
    C: HeaderBackend<B> + AuxStore + 'static,
{
    VotingRulesBuilder::new()
        .add(BeforeBestBlockBy(NumberFor::<B>::from(BEHIND_BEST)))
        .add(ThreeQuartersOfTheUnfinalizedChain)
        .add(ProvedOnly)
        .build()
}

/// Restricts votes to what is proved.
///
/// Below a trusted target blocks are imported without proofs, before it is known whether they lead there: whoever sent
/// them may have forged them. Such a block is proved once the very block that vouched for it stands above it.
///
/// What the voter calls the base of a round cannot be restricted: two thirds of the validators stand behind it, and of
/// those that follow this rule none does without evidence of their own.
#[derive(Clone)]
struct ProvedOnly;

impl<B, C> VotingRule<B, C> for ProvedOnly
where
    B: BlockT<Hash = H256>,
    C: HeaderBackend<B> + AuxStore + 'static,
{
    fn restrict_vote(
        &self,
        backend: Arc<C>,
        base: &B::Header,
        best_target: &B::Header,
        current_target: &B::Header,
    ) -> VotingRuleResult<B> {
        let vote = match highest_proved::<B, C>(&backend, base, best_target, current_target) {
            Ok(vote) => vote,
            Err(error) => {
                tracing::warn!(%error, "A vote stays where it was, for want of the blocks below it");
                Some((base.hash(), *base.number()))
            }
        };
        Box::pin(std::future::ready(vote))
    }
}

/// Where on the way from `base` up to `current` the blocks that are proved end; nothing if all are. `best`, on top of
/// `current`, may hold the block that vouches for them.
fn highest_proved<B, C>(
    chain: &C,
    base: &B::Header,
    best: &B::Header,
    current: &B::Header,
) -> Result<Option<(H256, NumberFor<B>)>, EngineError>
where
    B: BlockT<Hash = H256>,
    C: HeaderBackend<B> + AuxStore,
{
    let top = number_of(best);
    // From the best block down.
    let mut way: Vec<H256> = Vec::new();
    let mut lowest_unproved = None;
    let (mut hash, mut header) = (best.hash(), best.clone());
    while number_of(&header) > number_of(base) {
        way.push(hash);
        let proved = match vouched_by(chain, hash)? {
            None => true,
            Some(target) => top
                .checked_sub(target.number)
                .and_then(|below| way.get(below as usize))
                .is_some_and(|above| *above == target.hash),
        };
        let (parent, number) = (*header.parent_hash(), *header.number());
        if !proved && number <= *current.number() {
            lowest_unproved = Some((parent, number - 1u32.into()));
        }
        hash = parent;
        header = chain
            .header(parent)?
            .ok_or(EngineError::UnknownParent(parent))?;
    }
    Ok(lowest_unproved)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use sc_client_api::in_mem::Blockchain;

    use super::*;
    use crate::{
        store::{record, vouched_key},
        trust::TrustedTarget,
    };

    type BlockHeader = sp_runtime::generic::Header<u32, sp_runtime::traits::BlakeTwo256>;
    type Block = sp_runtime::generic::Block<BlockHeader, sp_runtime::OpaqueExtrinsic>;

    /// Blocks 0 to 5.
    fn chain() -> (Arc<Blockchain<Block>>, Vec<BlockHeader>) {
        let chain = Blockchain::new();
        let mut headers: Vec<BlockHeader> = Vec::new();
        for number in 0..6 {
            let parent = headers.last().map_or(H256::zero(), Header::hash);
            let digest = Default::default();
            let header = BlockHeader::new(number, H256::zero(), H256::zero(), parent, digest);
            let state = sc_client_api::NewBlockState::Best;
            chain
                .insert(header.hash(), header.clone(), None, None, state, true)
                .unwrap();
            headers.push(header);
        }
        (Arc::new(chain), headers)
    }

    fn vouch(chain: &Blockchain<Block>, block: &BlockHeader, number: u32, hash: H256) {
        let key = vouched_key(block.hash());
        let value = record(&TrustedTarget { number, hash });
        chain.insert_aux(&[(&key[..], &value[..])], &[]).unwrap();
    }

    /// Number of the block that a vote for block 4 is restricted to, on base 1.
    fn restricted(chain: &Arc<Blockchain<Block>>, headers: &[BlockHeader]) -> Option<u32> {
        let (base, current, best) = (&headers[1], &headers[4], &headers[5]);
        let vote = ProvedOnly.restrict_vote(chain.clone(), base, best, current);
        let (hash, number) = vote.now_or_never().unwrap()?;
        assert_eq!(headers[number as usize].hash(), hash);
        Some(number)
    }

    #[test]
    fn blocks_with_proofs_of_their_own_are_voted_for() {
        let (chain, headers) = chain();
        assert_eq!(restricted(&chain, &headers), None);
    }

    #[test]
    fn blocks_that_led_to_the_final_one_are_voted_for() {
        let (chain, headers) = chain();
        for block in &headers[1..=3] {
            vouch(&chain, block, 3, headers[3].hash());
        }
        assert_eq!(restricted(&chain, &headers), None);
        // It need not be below the vote itself.
        for block in &headers[1..=5] {
            vouch(&chain, block, 5, headers[5].hash());
        }
        assert_eq!(restricted(&chain, &headers), None);
    }

    #[test]
    fn a_vote_stays_below_blocks_that_led_elsewhere_or_have_not_arrived() {
        for target in [3, 4, 9] {
            let (chain, headers) = chain();
            vouch(&chain, &headers[3], target, H256::repeat_byte(9));
            assert_eq!(restricted(&chain, &headers), Some(2), "target {target}");
            vouch(&chain, &headers[2], target, H256::repeat_byte(9));
            assert_eq!(restricted(&chain, &headers), Some(1), "target {target}");
        }
    }

    #[test]
    fn blocks_above_the_vote_and_up_to_its_base_do_not_count() {
        let (chain, headers) = chain();
        for block in [&headers[1], &headers[5]] {
            vouch(&chain, block, 9, H256::repeat_byte(9));
        }
        assert_eq!(restricted(&chain, &headers), None);
    }
}
