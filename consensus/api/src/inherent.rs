//! The inherent that tells a block's state what its parent was mined on.
//!
//! A seal is made after the block is executed, so the state learns of it one block later: the author brings the whole
//! parent header, and the runtime believes it because it hashes to the parent hash that the new header names.

use sp_inherents::InherentIdentifier;

/// Under this name the parent's SCALE-encoded header (seal included) stands in the inherent data.
pub const INHERENT_IDENTIFIER: InherentIdentifier = *b"pouwprnt";

/// Longest encoded parent header that is accepted, in bytes: fixed fields (32 + 5 + 32 + 32), an author's item (46), a
/// seal (121), and room for what a runtime deposits, of which a change of 100 GRANDPA authorities (4,000) is the largest.
pub const MAX_HEADER_LEN: usize = 8 * 1024;

/// Why the inherent is refused.
#[derive(Clone, Debug, Eq, PartialEq, parity_scale_codec::Encode, parity_scale_codec::Decode)]
#[cfg_attr(feature = "std", derive(thiserror::Error))]
pub enum InherentError {
    /// The block lacks its parent's header.
    #[cfg_attr(feature = "std", error("the block does not bring its parent's header"))]
    Missing,
}

impl sp_inherents::IsFatalError for InherentError {
    fn is_fatal_error(&self) -> bool {
        true
    }
}

/// Brings the parent's header into the inherent data of a block being built.
#[cfg(feature = "std")]
pub struct ParentHeader<H>(pub H);

#[cfg(feature = "std")]
#[async_trait::async_trait]
impl<H> sp_inherents::InherentDataProvider for ParentHeader<H>
where
    H: sp_runtime::traits::Header,
{
    async fn provide_inherent_data(
        &self,
        data: &mut sp_inherents::InherentData,
    ) -> Result<(), sp_inherents::Error> {
        // The header itself, so that the pallet decodes it as its own header type.
        data.put_data(INHERENT_IDENTIFIER, &self.0)
    }

    async fn try_handle_error(
        &self,
        identifier: &InherentIdentifier,
        mut error: &[u8],
    ) -> Option<Result<(), sp_inherents::Error>> {
        (*identifier == INHERENT_IDENTIFIER).then(|| {
            let error = <InherentError as parity_scale_codec::Decode>::decode(&mut error)
                .map_err(|error| sp_inherents::Error::DecodingFailed(error, *identifier))?;
            Err(sp_inherents::Error::Application(Box::new(error)))
        })
    }
}
