//! Runs a network: starts its members, listens to them and to the user, and ends them in order.

use std::{
    process::ExitStatus,
    time::{Duration, Instant},
};

use labora_runtime::opaque::Header;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
    time::MissedTickBehavior,
};

use super::{
    TestnetCommand, TestnetError, console,
    console::{Order, Prompt},
    folder::Folder,
    launch,
    members::{Home, Role},
    ports::{self, Ports},
    process::{Life, Process},
    show::{Row, Show, View},
    summary::Summary,
    tally::Tally,
    watch::{Event, Seen, watch},
};

/// Between two looks at the processes, and at the terminal.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Events that may wait.
const MAX_EVENTS: usize = 1_024;

/// A network and all that is known of it.
pub(super) struct Supervisor {
    folder: Folder,
    processes: Vec<Process>,
    ports: Vec<Ports>,
    views: Vec<View>,
    /// Whose best chain is counted.
    lead: Option<usize>,
    /// From the first answer on.
    tally: Option<Tally>,
    began: Instant,
    /// Final blocks after which to end.
    goal: Option<u32>,
    json: bool,
    died: usize,
    show: Show,
    prompt: Prompt,
}

/// How a run ended.
pub(super) struct Ended {
    /// Whether it ended with what it was started for.
    pub reached: bool,
    /// How often a member ended by itself.
    pub died: usize,
}

/// Signals that end a network in order.
struct Signals([Signal; 2]);

impl Signals {
    fn new() -> Result<Self, TestnetError> {
        let of = |kind| signal(kind).map_err(TestnetError::System);
        Ok(Signals([
            of(SignalKind::interrupt())?,
            of(SignalKind::terminate())?,
        ]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
        }
    }
}

impl Supervisor {
    /// Prepares the members' processes.
    pub(super) fn new(
        command: &TestnetCommand,
        folder: Folder,
        began: Instant,
    ) -> Result<Self, TestnetError> {
        let members = &folder.manifest.members;
        if command.blocks.is_some() && folder.manifest.count(Role::Miner) == 0 {
            return Err(TestnetError::NobodyMines);
        }
        let ports = ports::choose(command.base_port, members.len(), command.market)?;
        if command.market {
            folder.keep_job_keys()?;
        }
        let processes = members.iter().zip(&ports).map(|(member, own)| {
            let home = Home::new(folder.path(), &member.name);
            let begin_with = launch::bootnodes(member, members, &ports);
            // All share one machine.
            let devices = command.devices.as_deref().unwrap_or("cpu:1");
            let arguments = launch::arguments(&folder, member, *own, begin_with, devices);
            Process::new(arguments, home.log(), folder.code())
        });
        Ok(Supervisor {
            processes: processes.collect(),
            views: vec![View::default(); members.len()],
            ports,
            lead: None,
            tally: None,
            began,
            goal: command.blocks.map(|blocks| blocks.get()),
            json: command.json,
            died: 0,
            show: Show::new(),
            prompt: Prompt::default(),
            folder,
        })
    }

    /// Gives the folder back when all has ended.
    pub(super) fn into_folder(self) -> Folder {
        self.folder
    }

    /// Runs the network until it is to end, ends it, and prints what it did.
    pub(super) async fn run(&mut self) -> Result<Ended, TestnetError> {
        let mut signals = Signals::new()?;
        for at in 0..self.processes.len() {
            self.start(at)?;
        }
        self.greet();
        let (sender, events) = mpsc::channel(MAX_EVENTS);
        let mut watchers = JoinSet::new();
        for (at, ports) in self.ports.iter().enumerate() {
            watchers.spawn(watch(at, ports.rpc, sender.clone()));
        }
        let ran = self.supervise(events, &mut signals).await;
        watchers.shutdown().await;
        self.stop_all(&mut signals).await;
        self.show.clear();
        let reached = ran?;
        if let Some(tally) = &self.tally {
            let members = &self.folder.manifest.members;
            let summary = Summary::new(members, &tally.figures(), self.began.elapsed());
            // Nobody is told if standard output is closed.
            let _ = summary.print(self.json, &mut std::io::stdout().lock());
        }
        if !reached {
            eprintln!("the network ended before so many blocks were final");
        }
        Ok(Ended {
            reached,
            died: self.died,
        })
    }

    /// Until it is to end; whether that is because of what it was started for.
    async fn supervise(
        &mut self,
        mut events: mpsc::Receiver<Event>,
        signals: &mut Signals,
    ) -> Result<bool, TestnetError> {
        let (_keys, mut typed) = console::listen(self.show.is_live());
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = signals.any() => return Ok(self.goal.is_none()),
                Some(event) = events.recv() => self.on_event(event),
                Some(bytes) = typed.recv() => {
                    for line in self.prompt.feed(&bytes) {
                        if self.on_line(&line) == Go::End {
                            return Ok(self.goal.is_none());
                        }
                    }
                    self.draw();
                }
                _ = looks.tick() => {
                    self.look();
                    self.draw();
                    if self.processes.iter().all(|it| it.life() == Life::Died) {
                        return Err(TestnetError::AllDied(self.folder.path().to_owned()));
                    }
                }
            }
            let finalised = self.tally.as_ref().map_or(0, Tally::finalised_blocks);
            if self.goal.is_some_and(|goal| finalised >= goal) {
                return Ok(true);
            }
        }
    }

    fn name(&self, member: usize) -> &str {
        &self.folder.manifest.members[member].name
    }

    fn start(&mut self, member: usize) -> Result<(), TestnetError> {
        self.processes[member]
            .start()
            .map_err(|error| TestnetError::Start {
                name: self.name(member).to_owned(),
                error,
            })
    }

    fn greet(&self) {
        self.show.say(&format!(
            "{} start in {}",
            self.folder.manifest.in_words(),
            self.folder.path().display()
        ));
        for (member, ports) in self.folder.manifest.members.iter().zip(&self.ports) {
            self.show.say(&format!("  {}: {ports}", member.name));
        }
        if self.folder.manifest.count(Role::Miner) == 0 {
            self.show
                .say("nobody mines: there will be no blocks until a miner joins");
        }
        self.show.say(console::HELP);
    }

    /// Looks after the processes.
    fn look(&mut self) {
        for at in 0..self.processes.len() {
            if let Some(status) = self.processes[at].look() {
                self.died += 1;
                self.mourn(at, status);
            }
        }
    }

    fn mourn(&self, member: usize, status: ExitStatus) {
        let process = &self.processes[member];
        let name = self.name(member);
        self.show.say(&format!(
            "{name} has ended by itself ({status}); `start {name}` starts it again. The last lines of {}:\n{}",
            process.log().display(),
            process.last_lines()
        ));
    }

    fn on_event(&mut self, Event { member, seen }: Event) {
        let view = &mut self.views[member];
        match seen {
            Seen::Up(last) => self.on_up(member, &last),
            Seen::Down => {
                view.answers = false;
                if self.lead == Some(member) {
                    self.lead = None;
                    let others = (0..self.views.len()).filter(|at| self.views[*at].answers);
                    self.lead = others.max_by_key(|at| self.views[*at].best);
                }
            }
            Seen::Peers(peers) => view.peers = peers,
            Seen::Rate(rate) => view.rate = rate,
            Seen::Block(header) => {
                if let Some(tally) = &mut self.tally {
                    tally.seen(&header);
                }
            }
            Seen::Best(header) => {
                view.best = header.number;
                let finalised = view.finalised;
                if let Some(tally) = self.tally.as_mut().filter(|_| self.lead == Some(member)) {
                    tally.best(&header, finalised);
                }
            }
            Seen::Final(header) => {
                view.finalised = header.number;
                self.on_final(header.number);
            }
        }
    }

    fn on_up(&mut self, member: usize, last: &Header) {
        let view = &mut self.views[member];
        view.answers = true;
        view.finalised = last.number;
        view.best = view.best.max(last.number);
        self.lead.get_or_insert(member);
        // A new chain begins with this run, however late it is first seen.
        let floor = if self.folder.is_new { 0 } else { last.number };
        self.tally.get_or_insert_with(|| Tally::new(floor));
        self.on_final(last.number);
    }

    fn on_final(&mut self, number: u32) {
        let Some(tally) = &mut self.tally else {
            return;
        };
        let was = tally.first_final();
        tally.finalised(number, self.began.elapsed());
        if let (None, Some(after)) = (was, tally.first_final()) {
            let seconds = after.as_secs_f64();
            self.show
                .say(&format!("the first block is final after {seconds:.1} s"));
        }
    }

    fn on_line(&mut self, line: &str) -> Go {
        match console::parse(line) {
            Ok(Some(Order::Quit)) => return Go::End,
            Ok(Some(order)) => {
                let answer = self.obey(order);
                self.show.say(&answer);
            }
            Ok(None) => {}
            Err(sentence) => self.show.say(&sentence),
        }
        Go::On
    }

    /// Does what was typed, and says so.
    fn obey(&mut self, order: Order) -> String {
        let name = match &order {
            Order::Kill(name) | Order::Stop(name) | Order::Start(name) => name.clone(),
            Order::Help | Order::Quit => return console::HELP.into(),
        };
        let mut members = self.folder.manifest.members.iter();
        let Some(at) = members.position(|member| member.name == name) else {
            return format!("there is no member {name}; names are in the table");
        };
        // One that has just ended may be started.
        self.look();
        let process = &mut self.processes[at];
        match (order, process.life()) {
            (Order::Start(_), Life::Runs) => format!("{name} runs already"),
            (Order::Start(_), Life::Ends) => {
                format!("{name} has not ended yet; try again in a moment")
            }
            (Order::Start(_), Life::Stopped | Life::Died) => match self.start(at) {
                Ok(()) => format!("{name} starts"),
                Err(error) => error.to_string(),
            },
            (_, Life::Stopped | Life::Died) => {
                format!("{name} has ended already; start {name} starts it")
            }
            (Order::Kill(_), _) => {
                process.kill();
                format!("{name} is killed")
            }
            (_, Life::Ends) => format!("{name} is ending already; kill {name} ends it at once"),
            _ => {
                process.interrupt();
                format!("{name} is asked to end")
            }
        }
    }

    fn draw(&mut self) {
        let figures = self.tally.as_ref().map(Tally::figures);
        let members = &self.folder.manifest.members;
        let known = self.processes.iter().zip(&self.views);
        let rows: Vec<_> = members
            .iter()
            .zip(known)
            .map(|(member, (process, view))| {
                Row::new(member, process.life(), view, figures.as_ref())
            })
            .collect();
        self.show.now(&rows, figures.as_ref(), &self.prompt);
    }

    /// Ends miners, then validators: each is asked, then waited for, then killed. A second signal kills at once.
    async fn stop_all(&mut self, signals: &mut Signals) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        for role in [Role::Miner, Role::Validator] {
            let members = self.folder.manifest.members.iter().enumerate();
            let of_role = members.filter(|(_, member)| member.role == role);
            let of_role: Vec<usize> = of_role.map(|(at, _)| at).collect();
            of_role
                .iter()
                .for_each(|at| self.processes[*at].interrupt());
            loop {
                self.look();
                let life = |at: &usize| self.processes[*at].life();
                if of_role
                    .iter()
                    .all(|at| !matches!(life(at), Life::Runs | Life::Ends))
                {
                    break;
                }
                tokio::select! {
                    _ = looks.tick() => self.draw(),
                    () = signals.any() => self.processes.iter_mut().for_each(Process::kill),
                }
            }
        }
    }
}

/// Whether to go on after a line.
#[derive(Eq, PartialEq)]
enum Go {
    On,
    End,
}
