//! Times the ways to multiply that a GPU has, on a mined product of random entries: zeros would draw less power, and be
//! faster than anything that is ever computed.

use super::Settings;
use super::driver::{Address, Driver, Fault, Launch, Stream};
use super::grid::{grid_of, how_of};
use super::kernels::{self, Mode, Multiply, Noising, Product, SPARSE_BYTES, Tiling, WINNERS_BYTES};
use super::tuning::{self, Tuned};

/// Timed runs, of which the median counts; one more goes before.
const RUNS: usize = 3;
/// What a GPU of which nothing is known is taken for: 1 TMAC/s is slower than any of them.
const UNKNOWN_MACS_PER_MS: u64 = 1_000_000_000;

/// What the file says of this GPU, or what is timed now and then written there.
pub(super) fn tuned(
    driver: &mut dyn Driver,
    budget: u64,
    settings: &Settings,
) -> Result<Tuned, Fault> {
    let path = settings.options.tuning.as_deref();
    if let Some(tuned) = path.and_then(|path| tuning::load(path, driver.facts())) {
        return Ok(tuned);
    }
    let Some(tuned) = time_all(driver, budget, settings.timed)? else {
        return Ok(Tuned {
            multiply: Multiply::of(driver.facts().capability)[0],
            macs_per_ms: UNKNOWN_MACS_PER_MS,
        });
    };
    tracing::info!(
        device = %driver.facts().name,
        kernel = tuned.multiply.name(),
        gmacs_per_s = tuned.macs_per_ms / 1_000_000,
        "timed the GPU"
    );
    if let Some(path) = path
        && let Err(error) = tuning::store(path, driver.facts(), tuned)
    {
        tracing::warn!(path = %path.display(), %error, "what was timed could not be kept; it is timed again at the next start");
    }
    Ok(tuned)
}

/// The best of all; `None` if the memory for it is not there.
fn time_all(
    driver: &mut dyn Driver,
    budget: u64,
    (m, n, k): (u32, u32, u32),
) -> Result<Option<Tuned>, Fault> {
    let Some((at, product)) = operands(driver, budget, (m, n, k), 0)? else {
        return Ok(None);
    };
    let macs = u64::from(m) * u64::from(n) * u64::from(k);
    let mut best: Option<Tuned> = None;
    for &multiply in Multiply::of(driver.facts().capability) {
        let launch = launch(driver, multiply, &product, Mode::Tickets)?;
        let ms = time(driver, &launch)?;
        let macs_per_ms = ((macs as f64 / f64::from(ms.max(1e-3))) as u64).max(1);
        if best.is_none_or(|best| best.macs_per_ms < macs_per_ms) {
            best = Some(Tuned {
                multiply,
                macs_per_ms,
            });
        }
    }
    driver.free(at.at)?;
    Ok(best)
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

/// Milliseconds of one launch, the median of some.
fn time(driver: &mut dyn Driver, launch: &Launch) -> Result<f32, Fault> {
    let mut runs = Vec::with_capacity(RUNS);
    let (from, to) = (driver.event()?, driver.event()?);
    driver.launch(launch)?;
    for _ in 0..RUNS {
        driver.record(from, Stream::Compute)?;
        driver.launch(launch)?;
        driver.record(to, Stream::Compute)?;
        driver.wait(to)?;
        runs.push(driver.elapsed_ms(from, to)?);
    }
    runs.sort_by(f32::total_cmp);
    Ok(runs[RUNS / 2])
}
