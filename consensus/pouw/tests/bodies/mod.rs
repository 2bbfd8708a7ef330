//! What each fuzz target does with its bytes; shared by `fuzz/` (coverage-guided, nightly) and
//! `fuzz_seeds.rs` (fixed seeds, any compiler). A body returns whether the bytes were accepted, and
//! panics where a claim fails.

use std::sync::OnceLock;

use labora_pouw::fraud::{self, Claim, FraudProof};
use labora_pouw::reference::{Winner, matrices, prove};
use labora_pouw::vector::{Limits, check_within};
use labora_pouw::{Difficulty, Path, Proof, Seal, Shape, Strip, U256, verify};
use parity_scale_codec::{Decode, DecodeAll, DecodeWithMemTracking, Encode};

/// A header's hash, its winning tile and the difficulty that it meets.
pub struct Valid {
    pub pre_hash: [u8; 32],
    pub winner: Winner,
    pub difficulty: Difficulty,
}

/// An honest proof of the smallest shape.
pub fn valid() -> &'static Valid {
    static VALID: OnceLock<Valid> = OnceLock::new();
    VALID.get_or_init(|| {
        let shape = Shape::new(32, 48, 256).expect("a valid shape");
        let (a, bt) = matrices("fuzz", shape);
        let (pre_hash, difficulty) = (
            [9; 32],
            Difficulty::new(U256::from(100_000)).expect("not zero"),
        );
        let proved = prove(&pre_hash, &a, &bt, shape, difficulty).expect("made to the shape");
        Valid {
            pre_hash,
            winner: proved.winners.first().expect("most tiles win").clone(),
            difficulty,
        }
    })
}

/// A claim with one wrong entry, and its fraud proof.
pub fn valid_fraud() -> &'static (Claim, FraudProof) {
    static FRAUD: OnceLock<(Claim, FraudProof)> = OnceLock::new();
    FRAUD.get_or_init(|| {
        let shape = Shape::new(32, 48, 256).expect("a valid shape");
        let (a, bt) = matrices("fuzz", shape);
        let mut c = fraud::tile_major(shape, &labora_pouw::reference::multiply(&a, &bt, shape));
        c[700] ^= 1;
        let data = fraud::Data::new(shape, &a, &bt, &c).expect("made to the shape");
        let proof = fraud::prove(&data, 0..shape.m()).expect("entry 700 is wrong");
        (data.claim(), proof)
    })
}

/// Decoding never panics, and what it accepts encodes to the same bytes, of at most `max`.
fn decoder<T: Decode + DecodeWithMemTracking + Encode>(bytes: &[u8], max: usize) -> Option<T> {
    let value = T::decode_all(&mut &bytes[..]).ok()?;
    assert_eq!(
        value.encode(),
        bytes,
        "an accepted encoding is the only one of its value"
    );
    assert!(
        bytes.len() <= max,
        "{} bytes accepted, at most {max} stated",
        bytes.len()
    );
    Some(value)
}

pub fn shape(bytes: &[u8]) -> bool {
    decoder::<Shape>(bytes, 12).is_some()
}

pub fn seal(bytes: &[u8]) -> bool {
    decoder::<Seal>(bytes, Seal::ENCODED_LEN).is_some_and(|seal| {
        assert!(
            seal.row() < seal.shape().tile_rows() && seal.column() < seal.shape().tile_columns()
        );
        true
    })
}

pub fn difficulty(bytes: &[u8]) -> bool {
    decoder::<Difficulty>(bytes, 32).is_some_and(|difficulty| {
        assert!(!difficulty.get().is_zero());
        difficulty.target(256) <= difficulty.target(16384)
    })
}

pub fn path(bytes: &[u8]) -> bool {
    decoder::<Path>(bytes, Path::MAX_ENCODED_LEN).is_some()
}

pub fn strip(bytes: &[u8]) -> bool {
    decoder::<Strip>(bytes, Strip::MAX_ENCODED_LEN).is_some()
}

/// Decodes a proof, and checks it against the valid seal: only the one valid proof passes.
pub fn proof(bytes: &[u8]) -> bool {
    let Some(proof) = decoder::<Proof>(bytes, Proof::MAX_ENCODED_LEN) else {
        return false;
    };
    let valid = valid();
    let passes = verify(
        &valid.pre_hash,
        &valid.winner.seal,
        &proof,
        valid.difficulty,
    )
    .is_ok();
    assert_eq!(
        passes,
        proof == valid.winner.proof,
        "a second proof for one seal"
    );
    true
}

/// Reads a header's hash, a seal and a proof: verifying never panics, and passes only what is
/// honest.
pub fn verify_all(bytes: &[u8]) -> bool {
    let input = &mut &bytes[..];
    let Ok((pre_hash, seal, proof)) = <([u8; 32], Seal, Proof)>::decode(input) else {
        return false;
    };
    let valid = valid();
    // Difficulty 2^240: nothing but the valid proof at its own difficulty passes by chance.
    let hard = Difficulty::new(U256::one() << 240).expect("not zero");
    assert!(verify(&pre_hash, &seal, &proof, hard).is_err());
    let same =
        pre_hash == valid.pre_hash && seal == valid.winner.seal && proof == valid.winner.proof;
    if same {
        assert!(verify(&pre_hash, &seal, &proof, valid.difficulty).is_ok());
    }
    true
}

/// Decodes a fraud proof and checks it against a false claim: what passes shows the entry as
/// committed and as it is.
pub fn fraud_proof(bytes: &[u8]) -> bool {
    let Some(proof) = decoder::<FraudProof>(bytes, FraudProof::MAX_ENCODED_LEN) else {
        return false;
    };
    let (claim, valid) = valid_fraud();
    if let Ok(fault) = fraud::verify(claim, &proof) {
        assert_eq!(&proof, valid, "the claim has one wrong entry");
        assert_eq!(fault.committed ^ 1, fault.exact);
    }
    true
}

pub fn claim(bytes: &[u8]) -> bool {
    decoder::<Claim>(bytes, 108).is_some()
}

/// Checks any text as a vector, up to a size that takes a moment.
pub fn vector(bytes: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(bytes) else {
        return false;
    };
    check_within(
        text,
        Limits {
            macs: 1 << 20,
            entries: 1 << 16,
        },
    )
    .is_ok()
}
