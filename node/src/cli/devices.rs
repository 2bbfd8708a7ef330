//! How the value of `--devices` is read.

use std::{collections::BTreeSet, num::NonZeroUsize};

use crate::devices::{CpuChoice, DevicesSpec, GpuChoice};

/// Most threads that `cpu:THREADS` takes: twice the hardware threads of the largest two-socket machines (512).
pub const MAX_CPU_THREADS: usize = 1024;

/// Highest number of a GPU: the largest machines of today have 16, and the driver counts no further than 64.
pub const MAX_GPU_INDEX: u32 = 63;

/// Why a value of `--devices` was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DevicesError {
    /// A word that names no device.
    #[error(
        "`{0}` names no device; expected `auto`, `none`, or `cpu`, `cpu:THREADS`, `cuda`, `cuda:0,2` joined by `+`, such as cuda:0+cpu:4"
    )]
    Unknown(String),
    /// A word that stands alone beside others.
    #[error("`{0}` stands alone; name the devices instead, such as cuda+cpu:4")]
    StandsAlone(&'static str),
    /// A device twice.
    #[error("`{0}` is named twice")]
    Twice(String),
    /// No number of threads.
    #[error("`{0}` is no number of threads; expected 1 to {MAX_CPU_THREADS}, such as cpu:4")]
    Threads(String),
    /// No number of a GPU.
    #[error(
        "`{0}` is no GPU's number; expected 0 to {MAX_GPU_INDEX}, joined by commas, such as cuda:0,2 (`labora devices` lists them)"
    )]
    Index(String),
}

/// Reads the value of `--devices`.
pub fn parse_devices(value: &str) -> Result<DevicesSpec, DevicesError> {
    match value {
        "auto" => return Ok(DevicesSpec::Auto),
        "none" => return Ok(DevicesSpec::None),
        _ => {}
    }
    let (mut gpus, mut cpu) = (None, None);
    for word in value.split('+') {
        let (kind, rest) = match word.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (word, None),
        };
        let again = match (kind, rest) {
            ("cpu", rest) => cpu.replace(threads(rest)?).is_some(),
            ("cuda", rest) => gpus.replace(indices(rest)?).is_some(),
            ("auto", None) => return Err(DevicesError::StandsAlone("auto")),
            ("none", None) => return Err(DevicesError::StandsAlone("none")),
            _ => return Err(DevicesError::Unknown(word.into())),
        };
        if again {
            return Err(DevicesError::Twice(kind.into()));
        }
    }
    Ok(DevicesSpec::Named { gpus, cpu })
}

fn threads(value: Option<&str>) -> Result<CpuChoice, DevicesError> {
    let Some(value) = value else {
        return Ok(CpuChoice::AllCores);
    };
    digits(value)
        .and_then(|value| value.parse::<NonZeroUsize>().ok())
        .filter(|threads| threads.get() <= MAX_CPU_THREADS)
        .map(CpuChoice::Threads)
        .ok_or_else(|| DevicesError::Threads(value.into()))
}

fn indices(value: Option<&str>) -> Result<GpuChoice, DevicesError> {
    let Some(value) = value else {
        return Ok(GpuChoice::All);
    };
    let mut indices = BTreeSet::new();
    for word in value.split(',') {
        let index = digits(word)
            .and_then(|word| word.parse::<u32>().ok())
            .filter(|index| *index <= MAX_GPU_INDEX)
            .ok_or_else(|| DevicesError::Index(word.into()))?;
        if !indices.insert(index) {
            return Err(DevicesError::Twice(format!("cuda:{index}")));
        }
    }
    Ok(GpuChoice::These(indices.into_iter().collect()))
}

/// The value if it is digits alone: the standard library also reads `+1`.
fn digits(value: &str) -> Option<&str> {
    value
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn threads(count: usize) -> CpuChoice {
        CpuChoice::Threads(NonZeroUsize::new(count).expect("not zero"))
    }

    #[test]
    fn devices_are_auto_none_or_named() {
        let named = |gpus, cpu| Ok(DevicesSpec::Named { gpus, cpu });
        let these = |indices: &[u32]| Some(GpuChoice::These(indices.to_vec()));
        assert_eq!(parse_devices("auto"), Ok(DevicesSpec::Auto));
        assert_eq!(parse_devices("none"), Ok(DevicesSpec::None));
        assert_eq!(parse_devices("cpu"), named(None, Some(CpuChoice::AllCores)));
        assert_eq!(parse_devices("cpu:3"), named(None, Some(threads(3))));
        assert_eq!(parse_devices("cuda"), named(Some(GpuChoice::All), None));
        assert_eq!(parse_devices("cuda:0"), named(these(&[0]), None));
        assert_eq!(parse_devices("cuda:2,0"), named(these(&[0, 2]), None));
        assert_eq!(
            parse_devices("cuda:0+cpu:4"),
            named(these(&[0]), Some(threads(4)))
        );
        assert_eq!(
            parse_devices("cpu+cuda"),
            named(Some(GpuChoice::All), Some(CpuChoice::AllCores))
        );
    }

    #[test]
    fn what_are_no_devices_is_refused_with_what_would_do() {
        let unknown = |word: &str| Err(DevicesError::Unknown(word.into()));
        for (value, word) in [
            ("", ""),
            ("CPU", "CPU"),
            ("gpu", "gpu"),
            ("auto:1", "auto:1"),
            ("cpu:1+", ""),
            ("+cpu", ""),
            ("cpu cuda", "cpu cuda"),
        ] {
            assert_eq!(parse_devices(value), unknown(word), "{value}");
        }
        for value in [
            "cpu:",
            "cpu:0",
            "cpu:-1",
            "cpu:1025",
            "cpu:99999999999999999999999",
            "cpu:1:2",
        ] {
            let refused = parse_devices(value);
            assert!(matches!(refused, Err(DevicesError::Threads(_))), "{value}");
        }
        for value in ["cuda:", "cuda:0,", "cuda:-1", "cuda:64", "cuda:a"] {
            let refused = parse_devices(value);
            assert!(matches!(refused, Err(DevicesError::Index(_))), "{value}");
        }
        for (value, twice) in [
            ("cpu+cpu:2", "cpu"),
            ("cuda:0+cuda:1", "cuda"),
            ("cuda:1,1", "cuda:1"),
        ] {
            assert_eq!(
                parse_devices(value),
                Err(DevicesError::Twice(twice.into())),
                "{value}"
            );
        }
        for (value, word) in [("auto+cpu", "auto"), ("cuda+none", "none")] {
            assert_eq!(
                parse_devices(value),
                Err(DevicesError::StandsAlone(word)),
                "{value}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_value_is_a_panic_and_every_refusal_is_a_sentence(value in "[autocpdn:,+0-9 -]{0,24}") {
            if let Err(error) = parse_devices(&value) {
                prop_assert!(error.to_string().len() > 10);
            }
        }

        #[test]
        fn gpus_come_out_sorted_whatever_the_order(mut indices in proptest::collection::btree_set(0..=MAX_GPU_INDEX, 1..8)
            .prop_map(|set| set.into_iter().collect::<Vec<_>>()).prop_shuffle()) {
            let value = indices.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let parsed = parse_devices(&format!("cuda:{value}"));
            indices.sort_unstable();
            prop_assert_eq!(parsed, Ok(DevicesSpec::Named { gpus: Some(GpuChoice::These(indices)), cpu: None }));
        }
    }
}
