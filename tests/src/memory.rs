//! How much memory a process takes, as Linux counts it.

use crate::Outcome;

/// The most memory that a process had resident since its start, or since [`forget_peak`], in bytes.
pub fn peak(pid: u32) -> Outcome<u64> {
    figure(pid, "VmHWM:")
}

/// What it has resident now, in bytes.
pub fn resident(pid: u32) -> Outcome<u64> {
    figure(pid, "VmRSS:")
}

/// Has the process's peak begin at what it takes now (proc(5), `clear_refs`).
pub fn forget_peak(pid: u32) -> Outcome {
    Ok(std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

fn figure(pid: u32, name: &str) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let text = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .ok_or_else(|| format!("process {pid} has no {name}"))?;
    let kibibytes: u64 = text.trim().trim_end_matches("kB").trim_end().parse()?;
    Ok(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_touched_counts_and_a_peak_can_be_forgotten() -> Outcome {
        const MUCH: usize = 64 << 20;
        let me = std::process::id();
        let before = resident(me)?;
        let block = std::hint::black_box(vec![1u8; MUCH]);
        assert!(peak(me)? >= before + MUCH as u64 / 2);
        drop(block);
        forget_peak(me)?;
        assert!(peak(me)? < before + MUCH as u64 / 2);
        Ok(())
    }
}
