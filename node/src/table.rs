//! What a subcommand shows: a table for people, or JSON for programs.

use std::io::Write;

use serde::Serialize;

/// Columns as wide as their widest cell; those without a cell below the head are left out.
pub fn write<const N: usize>(rows: &[[String; N]], out: &mut impl Write) -> std::io::Result<()> {
    let length = |cell: &String| cell.chars().count();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let below = rows.iter().skip(1).map(|row| length(&row[column])).max();
        match below {
            None | Some(0) => 0,
            Some(below) => below.max(rows.first().map_or(0, |head| length(&head[column]))),
        }
    });
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths).filter(|(_, width)| *width > 0) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Indented, with a line's end.
pub fn write_json(value: &impl Serialize, out: &mut impl Write) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// Multiply-accumulates per second, in the unit that leaves one to three digits before the point.
pub fn rate(macs_per_s: f64) -> String {
    let (unit, name) = [(1e12, "TMAC/s"), (1e9, "GMAC/s")]
        .into_iter()
        .find(|(unit, _)| macs_per_s >= *unit)
        .unwrap_or((1e6, "MMAC/s"));
    format!("{:.1} {name}", macs_per_s / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_written_in_the_unit_that_fits() {
        for (macs, text) in [
            (0.0, "0.0 MMAC/s"),
            (999e6, "999.0 MMAC/s"),
            (17.44e9, "17.4 GMAC/s"),
            (1.5e15, "1500.0 TMAC/s"),
        ] {
            assert_eq!(rate(macs), text);
        }
    }
}
