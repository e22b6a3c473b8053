//! What many controllers have alike, held once.

use std::{collections::VecDeque, sync::Arc};

/// The latest few different values, so that the next equal one is shared.
#[derive(Debug)]
pub(crate) struct Recent<T>(VecDeque<Arc<T>>);

/// A fleet is of a few models; whoever sends others costs its own memory, and a comparison each.
const RECENT_MAX: usize = 16;

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Recent(VecDeque::new())
    }
}

impl<T: PartialEq> Recent<T> {
    /// The value, or an equal one that others have already.
    pub(crate) fn share(&mut self, value: T) -> Arc<T> {
        if let Some(at) = self.0.iter().position(|known| **known == value) {
            // Those in use stay.
            self.0.swap(0, at);
            return Arc::clone(&self.0[0]);
        }
        let value = Arc::new(value);
        self.0.truncate(RECENT_MAX - 1);
        self.0.push_front(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_and_only_a_few_are_remembered() {
        let mut recent = Recent::default();
        let one = recent.share(String::from("one"));
        for number in 0..100 {
            recent.share(number.to_string());
            assert!(Arc::ptr_eq(&one, &recent.share(String::from("one"))));
            assert!(recent.0.len() <= RECENT_MAX);
        }
    }
}
