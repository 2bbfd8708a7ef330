//! A runtime's WASM under a higher version.

use parity_scale_codec::Decode;

use crate::Outcome;

/// How a WASM of version 1 begins; a compressed one does not.
const MAGIC: &[u8] = b"\0asm\x01\0\0\0";

/// Kind of the sections that are no code.
const CUSTOM: u8 = 0;

/// Where nodes, and `set_code` on the chain, read which version a WASM is of, without running it.
const VERSION: &[u8] = b"runtime_version";

/// The same code as the next version: its section says a `spec_version` that is one higher.
///
/// The code's own constant has become part of its instructions, where nobody can tell it from another 1, and stays. So this
/// shows what a chain and its nodes make of a version, and not what the code makes of its own: migrations, which run if it
/// has risen, and signatures, which cover it. A client that signs for the version that nodes state would be refused.
pub fn raised(mut wasm: Vec<u8>) -> Outcome<Vec<u8>> {
    let at = spec_version_at(&wasm)?;
    let field = wasm[at..]
        .first_chunk_mut::<4>()
        .ok_or("the WASM ends within its version")?;
    let higher = u32::from_le_bytes(*field)
        .checked_add(1)
        .ok_or("there is no higher version")?;
    *field = higher.to_le_bytes();
    Ok(wasm)
}

/// Where the `spec_version` begins: after two names and the authoring version, all in SCALE.
fn spec_version_at(wasm: &[u8]) -> Outcome<usize> {
    let mut rest = wasm
        .strip_prefix(MAGIC)
        .ok_or("this is no WASM, or a compressed one")?;
    while let Some((kind, after)) = rest.split_first() {
        rest = after;
        let size = number(&mut rest)?;
        let mut section = take(&mut rest, size)?;
        if *kind != CUSTOM {
            continue;
        }
        let size = number(&mut section)?;
        if take(&mut section, size)? != VERSION {
            continue;
        }
        let _: (String, String, u32) = Decode::decode(&mut section)?;
        return Ok(wasm.len() - rest.len() - section.len());
    }
    Err("the WASM has no section that names its version".into())
}

/// An unsigned number of at most 32 bits in LEB128, as which WASM writes sizes.
fn number(bytes: &mut &[u8]) -> Outcome<usize> {
    let mut value = 0;
    for shift in (0..32).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= usize::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a size in the WASM has more than 32 bits".into())
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Outcome<&'a [u8]> {
    let (taken, rest) = bytes
        .split_at_checked(count)
        .ok_or("the WASM ends too early")?;
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parity_scale_codec::Encode;

    /// A custom section of less than 128 bytes.
    fn custom(name: &[u8], contents: &[u8]) -> Vec<u8> {
        let body = [&[name.len() as u8], name, contents].concat();
        [&[CUSTOM, body.len() as u8], &body[..]].concat()
    }

    fn wasm(spec_version: u32) -> Vec<u8> {
        let version = ("labora", "labora", 1u32, spec_version, 1u32, 0u8, 1u32, 1u8).encode();
        [
            MAGIC,
            // A section of 200 bytes that is not ours, and one that is not either.
            &[1, 0xC8, 0x01],
            &[0; 200],
            &custom(b"runtime_apis", &[0; 12]),
            &custom(VERSION, &version),
            &custom(b"producers", b"rustc"),
        ]
        .concat()
    }

    #[test]
    fn the_version_is_raised_and_nothing_else_changes() -> Outcome {
        assert_eq!(raised(wasm(1))?, wasm(2));
        assert_eq!(raised(wasm(0xFF))?, wasm(0x100));
        Ok(())
    }

    #[test]
    fn what_names_no_version_is_refused() {
        let compressed = [82, 188, 83, 118, 70, 219, 142, 5, 1, 2, 3];
        assert!(raised(compressed.to_vec()).is_err());
        assert!(raised(MAGIC.to_vec()).is_err());
        assert!(raised(wasm(u32::MAX)).is_err());
        let mut cut = wasm(1);
        cut.truncate(8 + 203 + 10);
        assert!(raised(cut).is_err());
    }
}
