//! One product that somebody waits for, from the queue to its answer.

use labora_kernels::{Matrix, Outcome};
use tokio::sync::oneshot;

use super::queue::MAX_QUEUED_REQUESTS;
use crate::gemm::{Assembly, GemmError, Packed, Piece, Plan, Product};

/// Most pairs of roots that an answer names: a product is one piece up to 4,096×4,096 with k up to 16,384, and the
/// largest that is taken (8,192×8,192×16,384) has four, or sixteen if all entries need two limbs.
pub const MAX_ROOTS_LISTED: usize = 64;

/// Devices that may be lost with one product before it is refused: a product that brings every device down must not go
/// round for ever, and one device that is lost for longer than this, a second each, is not worth waiting for.
pub const MAX_LOSSES: u32 = 16;

/// BLAKE3 roots of the matrices that one piece of a product was mined on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Roots {
    /// Root of the padded A.
    pub a: [u8; 32],
    /// Root of the padded Bt.
    pub bt: [u8; 32],
}

/// An exact product, and what was mined on the way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// C: m×n, row-major.
    pub product: Vec<i32>,
    /// Multiply-accumulates that devices did for it, padding and limbs included.
    pub macs: u64,
    /// Those of them that took part in mining.
    pub mined_macs: u64,
    /// Matrices that were mined on, in order; the first [`MAX_ROOTS_LISTED`] of them.
    pub roots: Vec<Roots>,
}

/// Why there is no product.
#[derive(Debug, thiserror::Error)]
pub enum MultiplyError {
    /// As many products wait as may.
    #[error("{MAX_QUEUED_REQUESTS} products wait already; try again in a moment")]
    Busy,
    /// The node has no device.
    #[error("this node has no device to multiply on; start it with `--devices auto`")]
    NoDevice,
    /// The node is about to end.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// The product cannot be given as asked for.
    #[error(transparent)]
    Product(#[from] GemmError),
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(#[from] labora_kernels::DeviceError),
    /// The device took operands that it should have refused, or the reverse: a defect.
    #[error("the device refused packed operands ({0}); please report this")]
    Operands(#[from] labora_kernels::MatrixError),
    /// One device after the other went away over it.
    #[error(
        "devices were lost {MAX_LOSSES} times over this product; try again when they are back (see the node's log)"
    )]
    DevicesLost,
    /// The device thread went away.
    #[error("the device's thread ended before the product was done; please report this")]
    Lost,
}

/// A product in the queue.
pub(super) struct Request {
    pub product: Product,
    pub reply: oneshot::Sender<Result<Answer, MultiplyError>>,
}

/// A product whose pieces go to a device.
pub(super) struct Active {
    plan: Plan,
    assembly: Assembly,
    reply: oneshot::Sender<Result<Answer, MultiplyError>>,
    started: usize,
    settled: usize,
    /// Pieces that were started on a device that was lost.
    returned: Vec<Piece>,
    /// How often a device was lost with it.
    losses: u32,
    /// The last piece's Bt, for the next to share.
    bt: Option<(Piece, Matrix)>,
    macs: u64,
    mined_macs: u64,
    roots: Vec<Roots>,
}

impl Active {
    pub fn new(request: Request) -> Self {
        let plan = Plan::new(request.product);
        Self {
            assembly: Assembly::new(&plan),
            plan,
            reply: request.reply,
            started: 0,
            settled: 0,
            returned: Vec::new(),
            losses: 0,
            bt: None,
            macs: 0,
            mined_macs: 0,
            roots: Vec::new(),
        }
    }

    /// The next piece with its operands, or `None` if all were started.
    pub fn start_piece(&mut self) -> Result<Option<(Piece, Matrix, Matrix)>, MultiplyError> {
        let piece = match self.returned.pop() {
            Some(piece) => piece,
            None if self.started == self.plan.count() => return Ok(None),
            None => {
                self.started += 1;
                self.plan.piece(self.started - 1)
            }
        };
        let bt = match &self.bt {
            Some((earlier, bt)) if earlier.shares_bt(&piece) => bt.clone(),
            _ => matrix(self.plan.pack_bt(piece))?,
        };
        self.bt = Some((piece, bt.clone()));
        Ok(Some((piece, matrix(self.plan.pack_a(piece))?, bt)))
    }

    /// Takes in a device's answer to one piece; gives its memory back if it is not needed.
    pub fn settle_piece(
        &mut self,
        piece: Piece,
        operands: &(Matrix, Matrix),
        outcome: Outcome,
    ) -> Result<Option<Vec<i32>>, MultiplyError> {
        let product = outcome.product.ok_or(MultiplyError::Lost)?;
        let spare = self.assembly.add(&self.plan, piece, product)?;
        self.settled += 1;
        let macs = self.plan.piece_macs(piece);
        self.macs += macs;
        if outcome.mined {
            self.mined_macs += macs;
            if self.roots.len() < MAX_ROOTS_LISTED {
                self.roots.push(Roots {
                    a: operands.0.root(),
                    bt: operands.1.root(),
                });
            }
        }
        Ok(spare)
    }

    /// Takes back a piece whose device was lost, to be started anew.
    pub fn put_back(&mut self, piece: Piece) {
        self.returned.push(piece);
    }

    /// Counts a lost device; whether the product is worth another try.
    pub fn survives_loss(&mut self) -> bool {
        self.losses += 1;
        self.losses <= MAX_LOSSES
    }

    /// Whether every piece is in.
    pub fn is_done(&self) -> bool {
        self.settled == self.plan.count()
    }

    /// Whether nobody waits for it any more.
    pub fn is_given_up(&self) -> bool {
        self.reply.is_closed()
    }

    /// Answers with the product. The asker may have gone, which is no error here.
    pub fn finish(self) {
        let (macs, mined_macs, roots) = (self.macs, self.mined_macs, self.roots);
        let answer = self.assembly.finish().map(|product| Answer {
            product,
            macs,
            mined_macs,
            roots,
        });
        let _ = self.reply.send(answer.map_err(MultiplyError::from));
    }

    /// Answers with an error.
    pub fn fail(self, error: MultiplyError) {
        let _ = self.reply.send(Err(error));
    }
}

fn matrix(packed: Packed) -> Result<Matrix, MultiplyError> {
    Ok(Matrix::new(packed.rows, packed.k, packed.data)?)
}
