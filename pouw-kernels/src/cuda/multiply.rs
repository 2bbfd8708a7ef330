//! The ways to multiply that a GPU has: instruction and tile, and which is likely to be the fastest for a shape.

/// A way to multiply: an instruction, and the tile of C that a block makes at a time. Large tiles read their operands least
/// often; small ones give every multiprocessor something to do where C is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Multiply {
    /// `mma.sync`, 128×256: every generation from Turing on.
    Mma,
    /// `mma.sync`, 128×128.
    MmaSquare,
    /// `mma.sync`, 64×128.
    MmaSmall,
    /// `wgmma` with tiles loaded by the tensor memory accelerator, 128×256: compute capability 9.0.
    Wgmma,
    /// `wgmma`, 128×128.
    WgmmaSquare,
}

/// What a product does beside multiplying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Folds and hashes: filler.
    Tickets,
    /// Writes C.
    Plain,
    /// Folds, hashes, takes the noise out and writes C.
    Exact,
}

impl Mode {
    pub(super) const ALL: [Mode; 3] = [Mode::Tickets, Mode::Plain, Mode::Exact];

    /// As the kernels have it: fold 1, store 2, correct 4.
    pub(super) fn bits(self) -> u32 {
        match self {
            Mode::Tickets => 1,
            Mode::Plain => 2,
            Mode::Exact => 7,
        }
    }
}

impl Multiply {
    /// All that a GPU has, the likely best for large products first.
    pub(super) fn of(capability: (u32, u32)) -> &'static [Multiply] {
        const MMA: [Multiply; 3] = [Multiply::Mma, Multiply::MmaSquare, Multiply::MmaSmall];
        const HOPPER: [Multiply; 5] = [
            Multiply::Wgmma,
            Multiply::WgmmaSquare,
            Multiply::Mma,
            Multiply::MmaSquare,
            Multiply::MmaSmall,
        ];
        match capability {
            (9, 0) => &HOPPER,
            _ => &MMA,
        }
    }

    /// Its name for people, and in the file of what was timed.
    pub(super) fn name(self) -> &'static str {
        match self {
            Multiply::Mma => "mma 128x256",
            Multiply::MmaSquare => "mma 128x128",
            Multiply::MmaSmall => "mma 64x128",
            Multiply::Wgmma => "wgmma 128x256",
            Multiply::WgmmaSquare => "wgmma 128x128",
        }
    }

    pub(super) fn kernel(self, mode: Mode) -> &'static str {
        let [tickets, plain, exact] = match self {
            Multiply::Mma => [
                "labora_product_mma_1",
                "labora_product_mma_2",
                "labora_product_mma_7",
            ],
            Multiply::MmaSquare => [
                "labora_product_mma_128x128_1",
                "labora_product_mma_128x128_2",
                "labora_product_mma_128x128_7",
            ],
            Multiply::MmaSmall => [
                "labora_product_mma_64x128_1",
                "labora_product_mma_64x128_2",
                "labora_product_mma_64x128_7",
            ],
            Multiply::Wgmma => [
                "labora_product_wgmma_1",
                "labora_product_wgmma_2",
                "labora_product_wgmma_7",
            ],
            Multiply::WgmmaSquare => [
                "labora_product_wgmma_128x128_1",
                "labora_product_wgmma_128x128_2",
                "labora_product_wgmma_128x128_7",
            ],
        };
        match mode {
            Mode::Tickets => tickets,
            Mode::Plain => plain,
            Mode::Exact => exact,
        }
    }
}

/// Blocks of a product kernel on one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiling {
    pub threads: u32,
    pub shared: u32,
    /// Rows and columns of C that one block makes at a time.
    pub rows: u32,
    pub columns: u32,
    /// Rows of the boxes that its tensor maps load; 0: it takes none.
    pub box_rows: u32,
}

impl Tiling {
    pub(super) fn of(multiply: Multiply, capability: (u32, u32)) -> Tiling {
        // Two stages where a multiprocessor has 64 KB, else three.
        let mma = |rows, columns, turing, newer| Tiling {
            threads: 256,
            shared: if capability.0 < 8 { turing } else { newer },
            rows,
            columns,
            box_rows: 0,
        };
        let wgmma = |columns| Tiling {
            threads: 384,
            shared: 221_312,
            rows: 128,
            columns,
            box_rows: 128,
        };
        match multiply {
            Multiply::Mma => mma(128, 256, 61_440, 86_016),
            Multiply::MmaSquare => mma(128, 128, 45_056, 61_440),
            Multiply::MmaSmall => mma(64, 128, 36_864, 49_152),
            Multiply::Wgmma => wgmma(256),
            Multiply::WgmmaSquare => wgmma(128),
        }
    }

    /// Tiles of so many rows and columns.
    pub(super) fn tiles(&self, m: u32, n: u32) -> u64 {
        u64::from(m.div_ceil(self.rows)) * u64::from(n.div_ceil(self.columns))
    }

    /// Entries of one tile.
    pub(super) fn area(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.columns)
    }
}

/// How fast a GPU model is in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Speed {
    pub multiply: Multiply,
    /// Multiply-accumulates a millisecond of one tile where each multiprocessor has one at most.
    pub lone_per_ms: u64,
    /// Multiply-accumulates a millisecond of a product of many tiles.
    pub macs_per_ms: u64,
}

/// A way to multiply on an opened GPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub speed: Speed,
    pub tiling: Tiling,
    /// Blocks of a launch for each mode: as many as run at once.
    pub grids: [u32; 3],
}

impl Way {
    /// Milliseconds that an m×n product takes for each of k: its rounds of blocks, the last of which takes as long as a full
    /// one. Where tiles are fewer than multiprocessors it is one tile's time, whatever stands idle beside it.
    fn ms_per_k(&self, (m, n): (u32, u32), mode: Mode, multiprocessors: u32) -> f64 {
        let (tiles, area) = (self.tiling.tiles(m, n), self.tiling.area() as f64);
        if tiles <= u64::from(multiprocessors) {
            return area / self.speed.lone_per_ms as f64;
        }
        let grid = u64::from(self.grids[mode as usize]);
        let rounds = tiles.div_ceil(grid);
        (rounds * grid) as f64 * area / self.speed.macs_per_ms as f64
    }
}

/// The way by which an m×n product is done soonest; of equals the first. `None` only of no ways.
pub(super) fn fastest(
    ways: &[Way],
    sides: (u32, u32),
    mode: Mode,
    multiprocessors: u32,
) -> Option<Way> {
    ways.iter().copied().min_by(|one, other| {
        let ms = |way: &Way| way.ms_per_k(sides, mode, multiprocessors);
        ms(one).total_cmp(&ms(other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A GPU of 132 multiprocessors as one might be: small tiles lose a little each, two of the smallest run at once.
    fn ways() -> Vec<Way> {
        let way = |multiply, per_tile, many, at_once| Way {
            speed: Speed {
                multiply,
                lone_per_ms: per_tile,
                macs_per_ms: many,
            },
            tiling: Tiling::of(multiply, (8, 0)),
            grids: [132_u32 * at_once; 3],
        };
        vec![
            way(Multiply::Mma, 1_000_000, 132_000_000, 1),
            way(Multiply::MmaSquare, 900_000, 119_000_000, 1),
            way(Multiply::MmaSmall, 700_000, 105_000_000, 2),
        ]
    }

    #[test]
    fn few_tiles_are_made_small_and_many_large() {
        for (sides, expected) in [
            // 32 tiles of 128×256 would leave 100 multiprocessors idle; 128 of 64×128 leave four.
            ((128, 8192), Multiply::MmaSmall),
            ((16, 4096), Multiply::MmaSmall),
            // 64 or 128.
            ((128, 16_384), Multiply::MmaSquare),
            ((256, 16_384), Multiply::Mma),
            ((16_384, 16_384), Multiply::Mma),
            // 160 large tiles are two rounds, the second nearly empty; 320 square ones are three of half the length.
            ((1280, 4096), Multiply::MmaSquare),
        ] {
            let way = fastest(&ways(), sides, Mode::Exact, 132).unwrap();
            assert_eq!(way.speed.multiply, expected, "{sides:?}");
        }
        assert!(fastest(&[], (16, 16), Mode::Plain, 132).is_none());
    }

    #[test]
    fn of_equals_the_first_is_taken() {
        let mut equal = ways();
        equal.truncate(1);
        equal.push(equal[0]);
        equal[1].speed.multiply = Multiply::Wgmma;
        let way = fastest(&equal, (4096, 4096), Mode::Plain, 132).unwrap();
        assert_eq!(way.speed.multiply, Multiply::Mma);
    }
}
