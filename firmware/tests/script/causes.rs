//! What an assignment hangs on, as `docs/script.md` has it under "Why an output changed": the commands
//! and schedules that reach it by names, blocks and branches within one scan.
//!
//! It is read off the script, whatever happens: a walk in the order of a scan, with what each name hangs
//! on so far. A name that is read above its assignment holds what the scan before gave it.

use crate::tree::{Expression, Line, Node, Script, What};
use std::collections::{BTreeSet, HashMap};

/// Commands by name, schedules by their number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hangs {
    pub(crate) commands: BTreeSet<String>,
    pub(crate) durings: BTreeSet<usize>,
}

impl Hangs {
    fn add(&mut self, other: &Self) {
        self.commands.extend(other.commands.iter().cloned());
        self.durings.extend(&other.durings);
    }
}

/// By the number of the assignment's line.
pub(crate) fn hangs(script: &Script) -> HashMap<usize, Hangs> {
    let mut walk = Walk::default();
    walk.lines(&script.lines, &Hangs::default());
    walk.found
}

#[derive(Default)]
struct Walk {
    names: HashMap<String, Hangs>,
    found: HashMap<usize, Hangs>,
}

impl Walk {
    fn lines(&mut self, lines: &[Line], around: &Hangs) {
        for line in lines {
            match &line.what {
                What::Command {
                    name, arguments, ..
                } => {
                    let mut called = Hangs::default();
                    called.commands.insert(name.clone());
                    for argument in arguments {
                        let name = format!("{name}.{}", argument.name);
                        self.names.insert(name, called.clone());
                    }
                    self.names.insert(name.clone(), called);
                }
                What::Machine {
                    name,
                    states,
                    transitions,
                } => {
                    for transition in transitions {
                        let when = self.of(&transition.when);
                        for state in states {
                            self.give(&format!("{name}.{state}"), &when);
                        }
                        self.give(name, &when);
                    }
                }
                What::Assign(name, value) => {
                    let mut found = self.of(value);
                    found.add(around);
                    self.assign(name, found, line.id);
                }
                What::Increase(name, value, condition) => {
                    let mut found = self.names.get(name).cloned().unwrap_or_default();
                    found.add(&self.of(value));
                    if let Some(condition) = condition {
                        found.add(&self.of(condition));
                    }
                    found.add(around);
                    self.assign(name, found, line.id);
                }
                What::If(branches, otherwise) => {
                    // A branch hangs on its own condition, and on those above that were not true.
                    let mut so_far = around.clone();
                    for (_, condition, body) in branches {
                        so_far.add(&self.of(condition));
                        self.lines(body, &so_far);
                    }
                    self.lines(otherwise.as_deref().unwrap_or_default(), &so_far);
                }
                _ => (),
            }
        }
    }

    fn assign(&mut self, name: &str, found: Hangs, id: usize) {
        self.give(name, &found);
        self.found.insert(id, found);
    }

    /// Adds up: any of the branches may have been the one.
    fn give(&mut self, name: &str, found: &Hangs) {
        self.names.entry(name.into()).or_default().add(found);
    }

    fn of(&self, expression: &Expression) -> Hangs {
        let mut found = Hangs::default();
        let parts: &[Expression] = match &expression.node {
            Node::Literal(_) => &[],
            Node::Name(name) => return self.names.get(name).cloned().unwrap_or_default(),
            Node::During(number) => {
                found.durings.insert(*number);
                &[]
            }
            Node::Widen(inner) | Node::Not(inner) | Node::Negate(inner) | Node::After(inner) => {
                std::slice::from_ref(inner)
            }
            Node::Binary(_, left, right) => {
                found.add(&self.of(left));
                std::slice::from_ref(right)
            }
            Node::Function(_, arguments) | Node::Block(_, _, arguments) => arguments,
        };
        for part in parts {
            found.add(&self.of(part));
        }
        found
    }
}
