//! Which devices serve: those that work always, and those that stand by once none of the others is there.

use crate::devices::Role;

/// How often in a row a device is tried and not there before those that stand by take its place: some seconds, by which most
/// that come back at all are back.
pub(super) const STANDBY_AFTER: u32 = 4;

/// The devices of a worker, by their places among them.
pub(super) struct Roster {
    roles: Vec<Role>,
    /// How often in a row each was tried and not there.
    missed: Vec<u32>,
}

/// What a note changed for those that stand by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    Nothing,
    /// They are needed from now on.
    Needed,
    /// They are needed no longer.
    Released,
}

impl Roster {
    pub fn new(roles: Vec<Role>) -> Self {
        let missed = vec![0; roles.len()];
        Self { roles, missed }
    }

    pub fn role(&self, device: usize) -> Role {
        self.roles[device]
    }

    /// Whether a device takes products at all.
    pub fn serves(&self, device: usize) -> bool {
        self.roles[device] == Role::Regular || self.standby_serves()
    }

    /// Whether there are devices that stand by, and they are needed.
    pub fn standby_serves(&self) -> bool {
        self.roles.contains(&Role::Standby)
            && self
                .roles
                .iter()
                .zip(&self.missed)
                .all(|(role, missed)| *role == Role::Standby || *missed >= STANDBY_AFTER)
    }

    /// A device was tried and is not there.
    pub fn missed(&mut self, device: usize) -> Change {
        self.note(device, self.missed[device].saturating_add(1))
    }

    /// A device did something.
    pub fn is_back(&mut self, device: usize) -> Change {
        self.note(device, 0)
    }

    /// A device will never be there again.
    pub fn gone(&mut self, device: usize) -> Change {
        self.note(device, u32::MAX)
    }

    fn note(&mut self, device: usize, missed: u32) -> Change {
        let before = self.standby_serves();
        self.missed[device] = missed;
        match (before, self.standby_serves()) {
            (false, true) => Change::Needed,
            (true, false) => Change::Released,
            _ => Change::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_stand_by_serve_while_all_others_are_missed_often_enough() {
        let mut roster = Roster::new(vec![Role::Regular, Role::Regular, Role::Standby]);
        for _ in 1..STANDBY_AFTER {
            assert_eq!(roster.missed(0), Change::Nothing);
            assert_eq!(roster.missed(1), Change::Nothing);
        }
        assert_eq!(roster.missed(0), Change::Nothing, "the other may be back");
        assert!(roster.serves(0) && !roster.serves(2));
        assert_eq!(roster.missed(1), Change::Needed);
        assert_eq!(roster.missed(1), Change::Nothing);
        assert!(
            roster.serves(0) && roster.serves(2),
            "it may be back any time"
        );
        assert_eq!(roster.is_back(1), Change::Released);
        assert!(!roster.serves(2));
        assert_eq!(roster.gone(1), Change::Needed);
        // Nobody stands by: nothing changes.
        let mut alone = Roster::new(vec![Role::Regular]);
        assert_eq!(alone.gone(0), Change::Nothing);
        assert!(alone.serves(0));
    }
}
