//! Measures the CPU by what Linux tells: load from `/proc/stat`, energy from RAPL where it may be read.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use super::reading::{Others, ReadError, Reader, Reading};

/// Packages looked for: servers have one to eight.
const MAX_PACKAGES: usize = 64;

/// Reads the CPU.
pub struct CpuReader {
    proc: PathBuf,
    packages: Vec<Package>,
    last: Option<(Ticks, u64)>,
    energy: Option<(Instant, f64)>,
    joules: f64,
}

/// Time of all cores since the start of the system, in ticks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Ticks {
    busy: u64,
    total: u64,
}

/// One processor package of RAPL, which counts microjoules up to a bound and then from 0.
struct Package {
    file: PathBuf,
    range_uj: u64,
    last_uj: u64,
}

impl CpuReader {
    /// Reads this machine.
    pub fn of_this_machine() -> Self {
        Self::new(Path::new("/proc"), Path::new("/sys/class/powercap"))
    }

    /// Reads what these folders say.
    pub fn new(proc: &Path, powercap: &Path) -> Self {
        CpuReader {
            proc: proc.to_owned(),
            packages: packages(powercap),
            last: None,
            energy: None,
            joules: 0.0,
        }
    }

    fn text(&self, file: &str) -> Result<String, ReadError> {
        let path = self.proc.join(file);
        std::fs::read_to_string(&path).map_err(|error| system(&path, error.to_string()))
    }

    /// Joules since the first call, and watts since the last.
    fn energy(&mut self) -> (Option<f64>, Option<f64>) {
        if self.packages.is_empty() {
            return (None, None);
        }
        for package in &mut self.packages {
            self.joules += package.spent_uj() as f64 / 1e6;
        }
        let now = Instant::now();
        let power = self.energy.and_then(|(then, joules)| {
            let seconds = now.duration_since(then).as_secs_f64();
            (seconds > 0.0).then(|| (self.joules - joules) / seconds)
        });
        self.energy = Some((now, self.joules));
        (Some(self.joules), power)
    }
}

impl Reader for CpuReader {
    fn read(&mut self) -> Result<Reading, ReadError> {
        let stat = self.text("stat")?;
        let all = ticks(&stat).ok_or_else(|| {
            system(
                &self.proc.join("stat"),
                "its first line is not the CPUs'".into(),
            )
        })?;
        let own_stat = self.text("self/stat")?;
        let own = own_ticks(&own_stat)
            .ok_or_else(|| system(&self.proc.join("self/stat"), "it has no CPU times".into()))?;
        let (energy_j, power_w) = self.energy();
        // Shares are of the time since the last reading: of the first there are none.
        let shares = self
            .last
            .replace((all, own))
            .and_then(|then| shares(then, (all, own)));
        Ok(Reading {
            power_w,
            energy_j,
            utilisation: shares.map(|(used, _)| used),
            others: shares.map(|(_, others)| Others {
                share: others,
                program: None,
            }),
            ..Reading::default()
        })
    }
}

fn system(path: &Path, why: String) -> ReadError {
    ReadError::System {
        path: path.display().to_string(),
        why,
    }
}

/// Shares of all cores between two moments: used by anyone, and by others.
fn shares(then: (Ticks, u64), now: (Ticks, u64)) -> Option<(f64, f64)> {
    let total = now.0.total.checked_sub(then.0.total)?;
    if total == 0 {
        return None;
    }
    let busy = now.0.busy.saturating_sub(then.0.busy);
    let own = now.1.saturating_sub(then.1);
    let share = |ticks: u64| (ticks as f64 / total as f64).clamp(0.0, 1.0);
    Some((share(busy), share(busy.saturating_sub(own))))
}

/// The first line of `/proc/stat` (proc(5)): user, nice, system, idle, iowait, irq, softirq, steal; guests are within user.
/// What the hypervisor stole was no program of this machine, so it is no use of it.
fn ticks(stat: &str) -> Option<Ticks> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = fields
        .split_whitespace()
        .take(8)
        .map(|field| field.parse().ok())
        .collect::<Option<_>>()?;
    let &[user, nice, system, idle, iowait, irq, softirq, steal] = fields.as_slice() else {
        return None;
    };
    let sum = |parts: &[u64]| {
        parts
            .iter()
            .fold(0u64, |sum, part| sum.saturating_add(*part))
    };
    let busy = sum(&[user, nice, system, irq, softirq]);
    Some(Ticks {
        busy,
        total: sum(&[busy, idle, iowait, steal]),
    })
}

/// User and system time of this process, fields 14 and 15 of `/proc/self/stat`. The second field is the program's name,
/// in parentheses, and may hold anything.
fn own_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()?.saturating_add(next()?))
}

/// The packages whose counters can be read. Since 2020 Linux lets only root, for what they tell of others' programs.
fn packages(powercap: &Path) -> Vec<Package> {
    let Ok(entries) = std::fs::read_dir(powercap) else {
        return Vec::new();
    };
    let text = |path: PathBuf| std::fs::read_to_string(path).ok();
    let number = |path: PathBuf| text(path)?.trim().parse::<u64>().ok();
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|zone| {
            text(zone.join("name")).is_some_and(|name| name.trim().starts_with("package"))
        })
        .filter_map(|zone| {
            let file = zone.join("energy_uj");
            Some(Package {
                last_uj: number(file.clone())?,
                range_uj: number(zone.join("max_energy_range_uj"))?,
                file,
            })
        })
        .take(MAX_PACKAGES)
        .collect()
}

impl Package {
    /// Microjoules since the last call; 0 where it cannot be read any more.
    fn spent_uj(&mut self) -> u64 {
        let Some(now) = std::fs::read_to_string(&self.file)
            .ok()
            .and_then(|text| text.trim().parse::<u64>().ok())
        else {
            return 0;
        };
        let then = std::mem::replace(&mut self.last_uj, now);
        match now.checked_sub(then) {
            Some(spent) => spent,
            None => self.range_uj.saturating_sub(then).saturating_add(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/proc` and RAPL of a test.
    struct System(tempfile::TempDir);

    impl System {
        fn new() -> Self {
            let system = Self(tempfile::tempdir().expect("a folder"));
            std::fs::create_dir_all(system.0.path().join("self")).expect("a folder in it");
            system
        }

        fn load(&self, user: u64, idle: u64, own: u64) {
            let stat = format!("cpu  {user} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3 4\n");
            std::fs::write(self.0.path().join("stat"), stat).expect("a file");
            let stat = format!("77 (a) b) R 1 2 3 4 5 6 7 8 9 10 {own} 3 0 0 20 0 1\n");
            std::fs::write(self.0.path().join("self/stat"), stat).expect("a file");
        }

        fn energy(&self, zone: &str, name: &str, uj: u64) {
            let zone = self.0.path().join("powercap").join(zone);
            std::fs::create_dir_all(&zone).expect("a folder in it");
            std::fs::write(zone.join("name"), format!("{name}\n")).expect("a file");
            std::fs::write(zone.join("max_energy_range_uj"), "1000000\n").expect("a file");
            std::fs::write(zone.join("energy_uj"), format!("{uj}\n")).expect("a file");
        }

        fn reader(&self) -> CpuReader {
            CpuReader::new(self.0.path(), &self.0.path().join("powercap"))
        }
    }

    #[test]
    fn load_is_split_into_ours_and_others() {
        let system = System::new();
        system.load(1_000, 9_000, 500);
        let mut reader = system.reader();
        let first = reader.read().expect("both files are there");
        assert_eq!((first.utilisation, first.others), (None, None));
        // Of 400 ticks 200 were busy, and 120 of these were ours.
        system.load(1_200, 9_200, 620);
        let reading = reader.read().expect("both files are there");
        assert_eq!(reading.utilisation, Some(0.5));
        assert_eq!(reading.others.map(|others| others.share), Some(0.2));
        assert_eq!(reading.energy_j, None, "there is no RAPL");
    }

    #[test]
    fn our_own_time_never_makes_others_negative() {
        let system = System::new();
        system.load(0, 0, 0);
        let mut reader = system.reader();
        reader.read().expect("both files are there");
        system.load(100, 100, 120);
        let others = reader.read().expect("both files are there").others;
        assert_eq!(others.map(|others| others.share), Some(0.0));
    }

    #[test]
    fn energy_is_summed_over_packages_and_past_the_end_of_their_counters() {
        let system = System::new();
        system.load(0, 0, 0);
        system.energy("intel-rapl:0", "package-0", 900_000);
        system.energy("intel-rapl:1", "package-1", 100_000);
        system.energy("intel-rapl:0:0", "core", 5);
        let mut reader = system.reader();
        let energy = |reader: &mut CpuReader| reader.read().expect("all is there").energy_j;
        assert_eq!(energy(&mut reader), Some(0.0));
        system.energy("intel-rapl:0", "package-0", 100_000);
        system.energy("intel-rapl:1", "package-1", 350_000);
        system.energy("intel-rapl:0:0", "core", 999_999);
        let joules = energy(&mut reader).expect("it is read");
        assert!((joules - 0.45).abs() < 1e-9, "{joules}");
    }

    #[test]
    fn what_is_not_there_is_said() {
        let system = System::new();
        let error = system.reader().read().expect_err("there is no file");
        assert!(error.to_string().contains("stat"), "{error}");
        system.load(1, 1, 1);
        std::fs::write(system.0.path().join("stat"), "intr 5\n").expect("a file");
        assert!(system.reader().read().is_err());
        std::fs::write(system.0.path().join("stat"), "cpu  1 2 3\n").expect("a file");
        assert!(system.reader().read().is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_can_be_read() {
        let mut reader = CpuReader::of_this_machine();
        reader.read().expect("Linux has /proc");
        // Busy until the counters have moved: two ticks are 20 ms.
        let others = loop {
            if let Some(used) = reader.read().expect("Linux has /proc").utilisation {
                break used;
            }
        };
        assert!((0.0..=1.0).contains(&others));
    }
}
