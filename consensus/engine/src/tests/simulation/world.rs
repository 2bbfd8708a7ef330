//! One schedule from its seed to its end: a storm, then a network that heals and has to settle.

use std::sync::Arc;

use super::{
    adversary::Adversary,
    blocks::Stamp,
    checker::Checker,
    context::Context,
    messages::Event,
    node::Node,
    plan::{Mutant, Plan},
    runtime::{Ms, Rng, Tasks},
    stats::Stats,
};

/// Blocks mined after the network healed, after which everything from before must be final.
const MAX_BLOCKS_TO_SETTLE: u32 = 40;

/// Mean time after which a node tells where it stands.
const GOSSIP_MS: Ms = 2_000;

/// What came of a schedule.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Outcome {
    pub(super) stats: Stats,
    /// Rules that were broken.
    pub(super) broken: Vec<String>,
    /// A trace of all that happened, and when: equal for equal runs.
    pub(super) trace: u64,
}

/// Runs the schedule of a seed.
pub(super) fn run(seed: u64, mutant: Mutant) -> Outcome {
    let mut rng = Rng::new(seed);
    let plan = Plan::draw(&mut rng, mutant);
    let mut world = World::new(Context::new(plan, rng));
    world.plan_events();
    world.until(world.context.plan.heals);
    world.settle();
    world.end()
}

/// The plan of a seed, to be shown.
pub(super) fn plan(seed: u64) -> Plan {
    Plan::draw(&mut Rng::new(seed), Mutant::None)
}

struct World {
    context: Arc<Context>,
    tasks: Tasks,
    nodes: Vec<Node>,
    adversary: Adversary,
    checker: Checker,
    /// Whether the network has healed.
    healed: bool,
    trace: u64,
}

impl World {
    fn new(context: Arc<Context>) -> Self {
        let nodes = (0..context.plan.nodes()).map(|_| Node::new()).collect();
        Self {
            tasks: Tasks::new(),
            nodes,
            adversary: Adversary::new(context.clone()),
            checker: Checker::new(context.clone()),
            healed: false,
            trace: 0,
            context,
        }
    }

    fn plan_events(&self) {
        let (plan, timeline) = (&self.context.plan, &self.context.timeline);
        for node in 0..plan.nodes() {
            timeline.after(0, Event::Start(node));
            timeline.after(self.context.draw((1, GOSSIP_MS)), Event::Gossip(node));
        }
        timeline.after(1, Event::Mine);
        if !plan.equivocating.is_empty() {
            timeline.after(plan.adversary_ms, Event::Adversary);
        }
        for crash in &plan.crashes {
            timeline.after(crash.at, Event::Crash(crash.node));
            timeline.after(crash.back, Event::Start(crash.node));
        }
        for partition in &plan.partitions {
            timeline.after(partition.at, Event::Divide(partition.sides.clone()));
            timeline.after(partition.healed, Event::Unite);
        }
    }

    /// Lets things happen up to a time, or until a rule is broken.
    fn until(&mut self, end: Ms) {
        // So that the clock gets there, whatever else happens.
        let now = self.context.timeline.now();
        let pause = self.context.timeline.sleep(end.saturating_sub(now));
        while self.context.timeline.now() < end && self.context.broken().is_empty() {
            let Some(event) = self.context.timeline.pop() else {
                break;
            };
            self.note(&event);
            self.happen(event);
            self.tasks.run(&self.context.rng);
            for (at, node) in self.nodes.iter().enumerate() {
                self.checker.look(at, node);
            }
        }
        drop(pause);
    }

    fn note(&mut self, event: &Event) {
        let what = match event {
            Event::Wake(_) => 1,
            Event::Work { node, .. } => 100 + *node as u64,
            Event::Arrive { from, to, .. } => 1_000 + 10 * *from as u64 + *to as u64,
            Event::Crash(node) => 2_000 + *node as u64,
            Event::Start(node) => 3_000 + *node as u64,
            Event::Mine => 2,
            Event::Gossip(node) => 4_000 + *node as u64,
            Event::Adversary => 3,
            Event::Divide(_) => 4,
            Event::Unite => 5,
        };
        match event {
            Event::Arrive { from, to, message } => {
                self.context
                    .show(|| format!("{from} to {to}: {}", message.shown()));
            }
            Event::Crash(node) => self.context.show(|| format!("node {node} crashes")),
            Event::Start(node) => self.context.show(|| format!("node {node} starts")),
            Event::Divide(sides) => self
                .context
                .show(|| format!("the network divides: {sides:?}")),
            Event::Unite => self.context.show(|| "the network is one again".into()),
            _ => {}
        }
        let state = self.trace ^ (self.context.timeline.now() << 16) ^ what;
        self.trace = Rng::new(state).next();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake(wake) => drop(wake.send(())),
            Event::Work { node, life, work } => {
                let node = &self.nodes[node];
                if node.life.is_some() && node.lives == life {
                    work();
                }
            }
            Event::Arrive { from, to, message } => {
                self.context.count(|stats| stats.delivered += 1);
                if to >= self.nodes.len() {
                    return self.adversary.hear(from, to, &message, &self.nodes);
                }
                let node = &mut self.nodes[to];
                if let Some(life) = &mut node.life {
                    life.hear(from, message, &node.record, &mut self.tasks);
                }
            }
            Event::Crash(node) => {
                if self.nodes[node].life.is_some() {
                    self.context.count(|stats| stats.crashes += 1);
                    self.nodes[node].crash(node, &mut self.tasks);
                }
            }
            Event::Start(node) => {
                if self.nodes[node].life.is_none() {
                    self.nodes[node].start(node, &self.context, &mut self.tasks);
                }
            }
            Event::Mine => {
                self.mine();
                if !self.healed {
                    let mean = self.context.plan.block_ms;
                    let pause = self.context.draw((mean / 8, mean * 15 / 8));
                    self.context.timeline.after(pause, Event::Mine);
                }
            }
            Event::Gossip(node) => {
                if let Some(life) = &self.nodes[node].life {
                    life.gossip(&mut self.tasks);
                }
                let pause = self.context.draw((GOSSIP_MS / 2, GOSSIP_MS * 3 / 2));
                self.context.timeline.after(pause, Event::Gossip(node));
            }
            Event::Adversary => {
                self.adversary.act(&self.nodes, self.healed);
                let pause = self.context.plan.adversary_ms;
                self.context.timeline.after(pause, Event::Adversary);
            }
            Event::Divide(sides) => {
                self.context.count(|stats| stats.partitions += 1);
                self.context.divide(Some(sides));
            }
            Event::Unite => self.context.divide(None),
        }
    }

    /// One of the nodes that live finds a block on its best one.
    fn mine(&mut self) {
        let alive: Vec<usize> = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].life.is_some())
            .collect();
        if alive.is_empty() {
            return;
        }
        let miner = &self.nodes[*self.context.rng.lock().pick(&alive)];
        let parent = miner.chain.best();
        let mut truth = self.context.truth.lock();
        if truth.work(parent.hash()).is_none() {
            // On a forgery: that work is lost, whoever misled the node.
            return;
        }
        let block = truth.mine(&parent, Stamp::Due);
        drop(truth);
        self.context.count(|stats| stats.blocks_mined += 1);
        if let Some(life) = &miner.life {
            life.mined(block, &mut self.tasks);
        }
    }

    /// The network heals, all nodes are up, blocks go on; all that was there must become final everywhere.
    fn settle(&mut self) {
        self.context.heal();
        for node in 0..self.nodes.len() {
            self.happen(Event::Start(node));
        }
        let heights = self.nodes.iter().map(|node| node.chain.best().number);
        let height = heights.max().unwrap_or(0).max(1);
        self.healed = true;
        for _ in 0..MAX_BLOCKS_TO_SETTLE {
            let is_final = |node: &Node| node.chain.finalised().1 >= height;
            if self.nodes.iter().all(is_final) || !self.context.broken().is_empty() {
                return;
            }
            self.mine();
            self.context.count(|stats| stats.blocks_mined_to_heal += 1);
            let now = self.context.timeline.now();
            self.until(now + self.context.plan.block_ms + 2 * self.context.plan.delay_ms.1);
        }
        for life in self.nodes.iter().filter_map(|node| node.life.as_ref()) {
            self.context.show(|| life.gossip.described(true));
        }
        if !self.context.plan.equivocating.is_empty() {
            // Told apart, since that is what the guard before the voter is for.
            self.context
                .count(|stats| stats.stalled_after_equivocation += 1);
            return;
        }
        let stand: Vec<_> = self
            .nodes
            .iter()
            .map(|node| (node.chain.best().number, node.chain.finalised().1))
            .collect();
        self.context.broke(format!(
            "the network healed at height {height}, {MAX_BLOCKS_TO_SETTLE} blocks ago; (best, final) are {stand:?}"
        ));
    }

    fn end(self) -> Outcome {
        if self.context.broken().is_empty() {
            for (at, node) in self.nodes.iter().enumerate() {
                self.checker.at_the_end(at, node);
            }
        }
        self.context.count(|stats| {
            stats.schedules = 1;
            stats.with_equivocating_stake = u64::from(!self.context.plan.equivocating.is_empty());
            stats.seconds = self.context.timeline.now() / 1_000;
        });
        Outcome {
            stats: *self.context.stats.lock(),
            broken: self.context.broken(),
            trace: self.trace,
        }
    }
}
