//! The fuzz targets' bodies over fixed seeds: random bytes, and valid inputs with bytes flipped,
//! cut, doubled and spliced.
//!
//! `LABORA_FUZZ_SEED` sets another seed, which is printed when a body panics; `LABORA_FUZZ_INPUTS`
//! the number of inputs.

mod bodies;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use parity_scale_codec::Encode;

/// Inputs to each target.
const INPUTS: u64 = 10_000;

/// SplitMix64: enough to spread bytes about, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number"))
    })
}

/// One input: in four of five cases a valid one with one to four changes, else random bytes.
fn input(random: &mut Random, valid: &[Vec<u8>]) -> Vec<u8> {
    if random.below(5) == 0 {
        let longest = [200, 200, 200, 20_000][random.below(4)];
        let len = random.below(longest);
        return random.bytes(len);
    }
    let mut bytes = valid[random.below(valid.len())].clone();
    for _ in 0..=random.below(4) {
        let (at, len) = (random.below(bytes.len()), random.below(64));
        let end = (at + len).min(bytes.len());
        match random.below(7) {
            0 => bytes.truncate(at),
            1 => bytes.extend(random.bytes(len)),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, random.bytes(len))),
            4 => bytes[at..end].fill([0, 1, 0x7f, 0x80, 0xff][random.below(5)]),
            5 if at < bytes.len() => bytes[at] = random.next() as u8,
            // Most of the rules are in the first bytes: lengths, dimensions.
            _ if !bytes.is_empty() => {
                let at = random.below(bytes.len().min(40));
                bytes[at] ^= 1 << random.below(8);
            }
            _ => {}
        }
    }
    bytes
}

/// Runs a body over its inputs; some must be accepted and some refused, or the inputs test nothing.
fn run(name: &str, valid: &[Vec<u8>], body: fn(&[u8]) -> bool) {
    assert!(
        valid.iter().all(|bytes| body(bytes)),
        "{name}: the inputs to start from are valid"
    );
    let (seed, inputs) = (
        number("LABORA_FUZZ_SEED", 3),
        number("LABORA_FUZZ_INPUTS", INPUTS),
    );
    let mut random = Random(seed);
    let mut accepted = 0;
    for i in 0..inputs {
        let bytes = input(&mut random, valid);
        match catch_unwind(AssertUnwindSafe(|| body(&bytes))) {
            Ok(yes) => accepted += u64::from(yes),
            Err(panic) => {
                let shown = &bytes[..bytes.len().min(256)];
                eprintln!(
                    "{name}: input {i} of LABORA_FUZZ_SEED={seed}, {} bytes, starts {}",
                    bytes.len(),
                    hex::encode(shown)
                );
                resume_unwind(panic);
            }
        }
    }
    println!("{name}: {accepted} of {inputs} inputs accepted, seed {seed}");
    assert!(
        accepted > 0 && accepted < inputs,
        "{name}: {accepted} of {inputs} accepted"
    );
}

#[test]
fn shapes_decode_or_are_refused() {
    run(
        "shape",
        &[
            bodies::valid().winner.seal.shape().encode(),
            (1_u32 << 20, 1_u32 << 20, 16384_u32).encode(),
        ],
        bodies::shape,
    );
}

#[test]
fn seals_decode_or_are_refused() {
    run(
        "seal",
        &[bodies::valid().winner.seal.encode()],
        bodies::seal,
    );
}

#[test]
fn difficulties_decode_or_are_refused() {
    run(
        "difficulty",
        &[bodies::valid().difficulty.encode(), [0xff_u8; 32].encode()],
        bodies::difficulty,
    );
}

#[test]
fn paths_decode_or_are_refused() {
    run(
        "path",
        &[
            bodies::valid().winner.proof.a_path.encode(),
            vec![[5_u8; 32]; 48].encode(),
        ],
        bodies::path,
    );
}

#[test]
fn strips_decode_or_are_refused() {
    run(
        "strip",
        &[bodies::valid().winner.proof.a.encode()],
        bodies::strip,
    );
}

#[test]
fn proofs_decode_and_only_one_of_a_seal_passes() {
    run(
        "proof",
        &[bodies::valid().winner.proof.encode()],
        bodies::proof,
    );
}

#[test]
fn verifying_anything_never_panics() {
    let valid = bodies::valid();
    run(
        "verify",
        &[(
            valid.pre_hash,
            valid.winner.seal,
            valid.winner.proof.clone(),
        )
            .encode()],
        bodies::verify_all,
    );
}

#[test]
fn fraud_proofs_decode_and_only_the_fault_passes() {
    run(
        "fraud_proof",
        &[bodies::valid_fraud().1.encode()],
        bodies::fraud_proof,
    );
}

#[test]
fn claims_decode_or_are_refused() {
    run("claim", &[bodies::valid_fraud().0.encode()], bodies::claim);
}

#[test]
fn vectors_parse_or_are_refused() {
    run(
        "vector",
        &[include_bytes!("../vectors/tiny.json").to_vec()],
        bodies::vector,
    );
}
