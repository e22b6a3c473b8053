//! Which serial port has which slot: the lowest free one, from the moment that it appears until it is gone. Pure.

use std::collections::HashSet;

/// A serial port that is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plugged {
    /// What one opens.
    pub path: String,
    /// Another one each time that it is plugged in, where the system can tell; else always the same.
    pub identity: u64,
}

#[derive(Debug)]
pub(super) struct Slots {
    /// Who has which slot, from 1 on.
    taken: Vec<Option<Plugged>>,
    /// Those that were there before anybody said what they are for.
    ignored: HashSet<Plugged>,
    /// Those whose slot was left while they stayed.
    done: HashSet<Plugged>,
}

impl Slots {
    pub(super) fn new(count: usize, ignored: impl IntoIterator<Item = Plugged>) -> Self {
        Slots {
            taken: vec![None; count],
            ignored: ignored.into_iter().collect(),
            done: HashSet::new(),
        }
    }

    /// Gives slots to those that are new, in their order; who finds none free waits.
    pub(super) fn look(&mut self, there: &[Plugged]) -> Vec<(usize, Plugged)> {
        self.ignored.retain(|it| there.contains(it));
        self.done.retain(|it| there.contains(it));
        let mut given = Vec::new();
        for plugged in there {
            // One path is one line: it is new once whoever had it before has left.
            let is_taken = self
                .taken
                .iter()
                .flatten()
                .any(|it| it.path == plugged.path);
            if is_taken || self.ignored.contains(plugged) || self.done.contains(plugged) {
                continue;
            }
            let Some(free) = self.taken.iter().position(Option::is_none) else {
                break;
            };
            self.taken[free] = Some(plugged.clone());
            given.push((free + 1, plugged.clone()));
        }
        given
    }

    /// A slot's work has ended. Where its port is still there, it is not begun anew.
    pub(super) fn free(&mut self, slot: usize) {
        if let Some(plugged) = self.taken[slot - 1].take() {
            self.done.insert(plugged);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(all: &[(&str, u64)]) -> Vec<Plugged> {
        let plugged = |&(path, identity): &(&str, u64)| Plugged {
            path: path.to_owned(),
            identity,
        };
        all.iter().map(plugged).collect()
    }

    fn given(slots: &mut Slots, all: &[(&str, u64)]) -> Vec<(usize, String)> {
        let given = slots.look(&there(all)).into_iter();
        given.map(|(slot, plugged)| (slot, plugged.path)).collect()
    }

    fn one(slot: usize, path: &str) -> (usize, String) {
        (slot, path.to_owned())
    }

    #[test]
    fn each_new_one_gets_the_lowest_free_slot() {
        let mut slots = Slots::new(2, there(&[("printer", 1)]));
        let all = [("printer", 1), ("a", 1), ("b", 1), ("c", 1)];
        assert_eq!(given(&mut slots, &all), [one(1, "a"), one(2, "b")]);
        assert_eq!(given(&mut slots, &all), []);
        slots.free(1);
        // `a` is still plugged in, and `c` has waited.
        assert_eq!(given(&mut slots, &all), [one(1, "c")]);
        slots.free(2);
        assert_eq!(given(&mut slots, &all), []);
        // What was there in the beginning is new once it was away.
        assert_eq!(given(&mut slots, &[("c", 1)]), []);
        let back = [("c", 1), ("printer", 2)];
        assert_eq!(given(&mut slots, &back), [one(2, "printer")]);
    }

    #[test]
    fn plugged_again_is_new_as_soon_as_its_slot_is_free() {
        let mut slots = Slots::new(3, []);
        assert_eq!(given(&mut slots, &[("a", 1)]), [one(1, "a")]);
        // Nobody saw it go; who works on it has to find out first.
        assert_eq!(given(&mut slots, &[("a", 2)]), []);
        slots.free(1);
        assert_eq!(given(&mut slots, &[("a", 2)]), [one(1, "a")]);
        slots.free(1);
        assert_eq!(given(&mut slots, &[]), []);
        // A system that cannot tell one plugging from the next shows at least that it was away.
        assert_eq!(given(&mut slots, &[("a", 2)]), [one(1, "a")]);
    }
}
