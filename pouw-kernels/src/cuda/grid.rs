//! How many blocks a product's launch has, and the tensor maps that go with it.

use super::driver::{Driver, Fault, Tiled};
use super::kernels::{CORRECTION, How, Mode, Multiply, Product, Tiling};
use super::machine::Gpu;
use super::multiply::{Speed, Way};

/// As many blocks as run at once.
pub(super) fn grid_of(
    driver: &mut dyn Driver,
    multiply: Multiply,
    tiling: &Tiling,
    mode: Mode,
) -> Result<u32, Fault> {
    let blocks = driver.blocks(multiply.kernel(mode), tiling.threads, tiling.shared)?;
    Ok(blocks.saturating_mul(driver.facts().multiprocessors).max(1))
}

/// The ways of which the speeds are known.
pub(super) fn ways(driver: &mut dyn Driver, speeds: &[Speed]) -> Result<Vec<Way>, Fault> {
    let mut ways = Vec::with_capacity(speeds.len());
    for &speed in speeds {
        let tiling = Tiling::of(speed.multiply, driver.facts().capability);
        let mut grids = [0; Mode::ALL.len()];
        for (grid, mode) in grids.iter_mut().zip(Mode::ALL) {
            *grid = grid_of(driver, speed.multiply, &tiling, mode)?;
        }
        ways.push(Way {
            speed,
            tiling,
            grids,
        });
    }
    Ok(ways)
}

/// How a product is launched: its grid, and tensor maps where its kernel takes them.
pub(super) fn how(gpu: &mut Gpu<'_>, way: &Way, of: &Product, mode: Mode) -> Result<How, Fault> {
    let tiles = u32::try_from(way.tiling.tiles(of.m, of.n)).unwrap_or(u32::MAX);
    let grid = way.grids[mode as usize].min(tiles);
    how_of(
        &mut *gpu.driver,
        way.speed.multiply,
        way.tiling,
        (of, mode, grid),
    )
}

/// As [`how`], before there is a machine.
pub(super) fn how_of(
    driver: &mut dyn Driver,
    multiply: Multiply,
    tiling: Tiling,
    (of, mode, grid): (&Product, Mode, u32),
) -> Result<How, Fault> {
    let mut maps = None;
    if tiling.box_rows > 0 {
        let mut map = |at, rows, columns| {
            driver.tensor_map(Tiled {
                at,
                rows,
                columns,
                box_rows: tiling.box_rows,
            })
        };
        let (a, b) = (map(of.a, of.m, of.k)?, map(of.b, of.n, of.k)?);
        // A mode without correction does not read the others: any map will do.
        let (left, right) = match mode {
            Mode::Exact => (
                map(of.left, of.m, CORRECTION)?,
                map(of.right, of.n, CORRECTION)?,
            ),
            Mode::Tickets | Mode::Plain => (a, b),
        };
        maps = Some([a, b, left, right]);
    }
    Ok(How {
        multiply,
        tiling,
        grid,
        maps,
    })
}
