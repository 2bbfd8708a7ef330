//! What a running network looks like: a table at the foot of a terminal, or a line every few seconds where there is none.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    console::Prompt,
    members::{Member, Role},
    process::Life,
    tally::Figures,
};
use crate::table;

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What is known of a member.
#[derive(Clone, Default)]
pub(super) struct View {
    /// Whether it answers.
    pub answers: bool,
    /// Its best block.
    pub best: u32,
    /// Its final block.
    pub finalised: u32,
    /// Its peers.
    pub peers: usize,
    /// Multiply-accumulates per second.
    pub rate: f64,
}

/// One member at a moment.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Its name.
    pub name: String,
    /// Its process.
    pub life: Life,
    /// Whether it answers.
    pub answers: bool,
    /// Its best block.
    pub best: u32,
    /// Its final block.
    pub finalised: u32,
    /// Its peers.
    pub peers: usize,
    /// Multiply-accumulates per second, of a miner.
    pub rate: Option<f64>,
    /// Its blocks on the best chain, of a miner.
    pub blocks: Option<u64>,
}

impl Row {
    /// Of what is known.
    pub(super) fn new(member: &Member, life: Life, view: &View, figures: Option<&Figures>) -> Self {
        let mines = member.role == Role::Miner;
        let blocks = || {
            let by_author = &figures?.by_author;
            Some(
                by_author
                    .get(&Some(member.account.clone()))
                    .copied()
                    .unwrap_or_default(),
            )
        };
        Row {
            name: member.name.clone(),
            life,
            // Its connection is found to have ended a moment after its process.
            answers: view.answers && matches!(life, Life::Runs | Life::Ends),
            best: view.best,
            finalised: view.finalised,
            peers: view.peers,
            rate: mines.then_some(view.rate),
            blocks: mines.then(blocks).flatten(),
        }
    }

    fn state(&self) -> &'static str {
        match (self.life, self.answers) {
            (Life::Runs, true) => "runs",
            (Life::Runs, false) => "starts",
            (Life::Ends, _) => "ends",
            (Life::Stopped, _) => "stopped",
            (Life::Died, _) => "died",
        }
    }

    fn cells(&self) -> [String; 7] {
        let figure = |figure: String| if self.answers { figure } else { String::new() };
        [
            self.name.clone(),
            self.state().into(),
            figure(self.best.to_string()),
            figure(self.finalised.to_string()),
            figure(self.peers.to_string()),
            figure(self.rate.map(table::rate).unwrap_or_default()),
            self.blocks
                .map(|blocks| blocks.to_string())
                .unwrap_or_default(),
        ]
    }
}

/// All members as a table.
pub(super) fn members(rows: &[Row]) -> String {
    let head = ["member", "", "height", "final", "peers", "rate", "blocks"].map(String::from);
    let cells: Vec<_> = std::iter::once(head)
        .chain(rows.iter().map(Row::cells))
        .collect();
    let mut out = Vec::new();
    // Writing to memory does not fail.
    let _ = table::write(&cells, &mut out);
    String::from_utf8_lossy(&out).trim_end().to_owned()
}

/// The network's figures in a line.
pub(super) fn network(figures: Option<&Figures>) -> String {
    let Some(figures) = figures else {
        return "no member answers yet".into();
    };
    let lag = match (figures.median_lag, figures.highest_lag) {
        (Some(median), Some(highest)) => format!("median {median}, highest {highest}"),
        _ => "none yet".into(),
    };
    format!(
        "blocks {}, final {} · finality lag: {lag} · orphans {} ({:.1} %)",
        figures.blocks,
        figures.finalised,
        figures.orphans,
        figures.orphan_rate() * 100.0,
    )
}

/// Members in a line: name, height, final, peers.
fn in_a_line(rows: &[Row]) -> String {
    let one = |row: &Row| match row.answers {
        true => format!("{} {}/{}/{}", row.name, row.best, row.finalised, row.peers),
        false => format!("{} {}", row.name, row.state()),
    };
    rows.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Where it is shown: standard error.
pub(super) struct Show {
    bar: ProgressBar,
    next_line: Instant,
}

impl Show {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // The template is a constant that is tried by a test.
        let style = ProgressStyle::with_template(TEMPLATE)
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        Show {
            bar: bar.with_style(style),
            next_line: Instant::now(),
        }
    }

    /// Whether there is a terminal.
    pub(super) fn is_live(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Shows how it is now.
    pub(super) fn now(&mut self, rows: &[Row], figures: Option<&Figures>, prompt: &Prompt) {
        let line = network(figures);
        if self.is_live() {
            let table = members(rows);
            self.bar
                .set_message(format!("{table}\n\n{line}\n> {}", prompt.text()));
        } else if Instant::now() >= self.next_line {
            eprintln!("{line} · {}", in_a_line(rows));
            self.next_line = Instant::now() + LINE_EVERY;
        }
    }

    /// Writes a sentence above it.
    pub(super) fn say(&self, sentence: &str) {
        self.bar.suspend(|| eprintln!("{sentence}"));
    }

    /// Takes it away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

const TEMPLATE: &str = "{msg}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_one() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }

    #[test]
    fn a_table_has_a_line_for_each_member_and_figures_of_those_that_answer() {
        let row = |name: &str, answers, rate, blocks| Row {
            name: name.into(),
            life: Life::Runs,
            answers,
            best: 34,
            finalised: 32,
            peers: 5,
            rate,
            blocks,
        };
        let rows = [
            row("validator-1", true, None, None),
            row("miner-1", true, Some(2e9), Some(17)),
            row("miner-2", false, Some(2e9), Some(3)),
        ];
        let expected = "\
member               height  final  peers  rate        blocks
validator-1  runs    34      32     5
miner-1      runs    34      32     5      2.0 GMAC/s  17
miner-2      starts                                    3";
        assert_eq!(members(&rows), expected);
        assert_eq!(
            in_a_line(&rows),
            "validator-1 34/32/5, miner-1 34/32/5, miner-2 starts"
        );
    }
}
