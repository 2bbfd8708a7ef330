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
