//! Times the ways to multiply that a GPU has, on a mined product of random entries: zeros would draw less power, and be
//! faster than anything that is ever computed.

use super::Settings;
use super::driver::{Address, Driver, Fault, Launch, Stream};
use super::grid::{grid_of, how_of};
use super::kernels::{self, Mode, Multiply, Noising, Product, SPARSE_BYTES, Tiling, WINNERS_BYTES};
use super::multiply::Speed;
use super::tuning;

/// Timed runs, of which the median counts; one more goes before.
const RUNS: usize = 3;
/// What a GPU of which nothing is known is taken for: 1 TMAC/s is slower than any of them.
const UNKNOWN_MACS_PER_MS: u64 = 1_000_000_000;

/// What the file says of this GPU, or what is timed now and then written there.
pub(super) fn speeds(
    driver: &mut dyn Driver,
    budget: u64,
    settings: &Settings,
) -> Result<Vec<Speed>, Fault> {
    let ways = settings
        .ways
        .unwrap_or(Multiply::of(driver.facts().capability));
    let path = settings.options.tuning.as_deref();
    if let Some(speeds) = path.and_then(|path| tuning::load(path, driver.facts(), ways)) {
        return Ok(speeds);
    }
    let Some(speeds) = time_all(driver, budget, ways, settings)? else {
        // No memory for it: small tiles for few rounds, the likely best else.
        let lone_per_ms = UNKNOWN_MACS_PER_MS / u64::from(driver.facts().multiprocessors.max(1));
        let unknown = |&multiply: &Multiply| Speed {
            multiply,
            lone_per_ms,
            macs_per_ms: UNKNOWN_MACS_PER_MS,
        };
        return Ok(ways.iter().map(unknown).collect());
    };
    for speed in &speeds {
        tracing::info!(
            device = %driver.facts().name,
            kernel = speed.multiply.name(),
            gmacs_per_s = speed.macs_per_ms / 1_000_000,
            tile_gmacs_per_s = speed.lone_per_ms / 1_000_000,
            "timed the GPU"
        );
    }
    if let Some(path) = path
        && let Err(error) = tuning::store(path, driver.facts(), &speeds)
    {
        tracing::warn!(path = %path.display(), %error, "what was timed could not be kept; it is timed again at the next start");
    }
    Ok(speeds)
}

/// All of them; `None` if the memory for it is not there.
fn time_all(
    driver: &mut dyn Driver,
    budget: u64,
    ways: &[Multiply],
    settings: &Settings,
) -> Result<Option<Vec<Speed>>, Fault> {
    let (m, n, k) = settings.timed;
    let Some((at, product)) = operands(driver, budget, (m, n, k), 0)? else {
        return Ok(None);
    };
    let mut speeds = Vec::with_capacity(ways.len());
    for &multiply in ways {
        let many = launch(driver, multiply, &product, Mode::Tickets)?;
        let macs = u64::from(m) * u64::from(n) * u64::from(k);
        let macs_per_ms = rate(macs, time(driver, &many, 1)?);
        let tiling = Tiling::of(multiply, driver.facts().capability);
        let (m, n) = few_tiles(&tiling, (m, n), driver.facts().multiprocessors);
        let few = launch(
            driver,
            multiply,
            &Product { m, n, ..product },
            Mode::Tickets,
        )?;
        let ms = time(driver, &few, settings.lone_runs)?;
        speeds.push(Speed {
            multiply,
            lone_per_ms: rate(tiling.area() * u64::from(k), ms),
            macs_per_ms,
        });
    }
    driver.free(at.at)?;
    Ok(Some(speeds))
}

/// Multiply-accumulates a millisecond, at least one.
fn rate(macs: u64, ms: f32) -> u64 {
    ((macs as f64 / f64::from(ms.max(1e-4))) as u64).max(1)
}

/// Sides within m and n of which as many tiles as there are multiprocessors, or a few less, make up a product. About square,
/// so that it is the tiles that take the time and not the memory.
fn few_tiles(tiling: &Tiling, (m, n): (u32, u32), multiprocessors: u32) -> (u32, u32) {
    let rows = (1024 / tiling.rows).clamp(1, multiprocessors.max(1));
    let columns = (multiprocessors / rows).max(1);
    (
        m.min(rows * tiling.rows),
        n.min(columns.saturating_mul(tiling.columns)),
    )
}

/// Operands of a mined product, of random entries, at the start of an allocation that ends with `more` bytes for other
/// uses; `None` if the memory for it is not there. What the address is of is the caller's to free.
pub(super) fn operands(
    driver: &mut dyn Driver,
    budget: u64,
    (m, n, k): (u32, u32, u32),
    more: u64,
) -> Result<Option<(Operands, Product)>, Fault> {
    let (a, b) = (u64::from(m) * u64::from(k), u64::from(n) * u64::from(k));
    let sparse = u64::from(k / 64) * SPARSE_BYTES;
    // A, Bt, their noised forms, a sparse factor, and 256 bytes of seeds and target with a list of winners.
    let small = 256 + WINNERS_BYTES as u64;
    let own = (2 * (a + b) + sparse + small).next_multiple_of(256);
    let bytes = own + more;
    if bytes > budget {
        return Ok(None);
    }
    let at = match driver.alloc(bytes) {
        Ok(at) => at,
        Err(Fault::OutOfMemory { .. }) => return Ok(None),
        Err(lost) => return Err(lost),
    };
    driver.clear(Stream::Compute, at, bytes)?;
    let (plain, noised) = (at, at + a.max(b));
    // Rows of 64 bytes and more: all parts stay aligned to 16.
    let (noised_b, factor) = (noised + a, noised + a + b);
    let params = factor + sparse;
    driver.launch(&kernels::sparse(params, k, factor))?;
    for (to, rows) in [(noised, m), (noised_b, n)] {
        driver.launch(&kernels::noise(&Noising {
            from: plain,
            to,
            rows,
            k,
            seed: params,
            sparse: factor,
            dense: 0,
        }))?;
    }
    let product = Product {
        a: noised,
        b: noised_b,
        midstate: params,
        // Zero: nothing wins.
        target: params + 32,
        winners: params + 256,
        m,
        n,
        k,
        ..Product::default()
    };
    let operands = Operands { at, more: at + own };
    Ok(Some((operands, product)))
}

/// Where [`operands`] lie.
pub(super) struct Operands {
    /// What was allocated.
    pub at: Address,
    /// The bytes for other uses, aligned to 256.
    pub more: Address,
}

/// The launch of a product in a mode.
pub(super) fn launch(
    driver: &mut dyn Driver,
    multiply: Multiply,
    product: &Product,
    mode: Mode,
) -> Result<Launch, Fault> {
    let tiling = Tiling::of(multiply, driver.facts().capability);
    let tiles = u32::try_from(tiling.tiles(product.m, product.n)).unwrap_or(u32::MAX);
    let grid = grid_of(driver, multiply, &tiling, mode)?.min(tiles);
    let how = how_of(driver, multiply, tiling, (product, mode, grid))?;
    Ok(kernels::product(product, mode, &how))
}

/// Milliseconds of one launch of so many in a row, the median of some such rows.
fn time(driver: &mut dyn Driver, launch: &Launch, in_a_row: u32) -> Result<f32, Fault> {
    let mut runs = Vec::with_capacity(RUNS);
    let (from, to) = (driver.event()?, driver.event()?);
    driver.launch(launch)?;
    for _ in 0..RUNS {
        driver.record(from, Stream::Compute)?;
        for _ in 0..in_a_row {
            driver.launch(launch)?;
        }
        driver.record(to, Stream::Compute)?;
        driver.finish(to)?;
        runs.push(driver.elapsed_ms(from, to)? / in_a_row.max(1) as f32);
    }
    runs.sort_by(f32::total_cmp);
    Ok(runs[RUNS / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_tiles_are_never_more_than_multiprocessors_and_nearly_as_many() {
        for multiply in Multiply::of((9, 0)) {
            let tiling = Tiling::of(*multiply, (9, 0));
            for multiprocessors in [1, 7, 14, 40, 68, 132, 148] {
                let (m, n) = few_tiles(&tiling, (4096, 4096), multiprocessors);
                let tiles = tiling.tiles(m, n);
                let what = format!("{multiply:?}, {multiprocessors}: {m}×{n}");
                assert!(tiles <= u64::from(multiprocessors), "{what}");
                assert!(2 * tiles > u64::from(multiprocessors), "{what}");
            }
            assert_eq!(few_tiles(&tiling, (32, 48), 132), (32, 48));
        }
    }
}
