//! Who stands where: every connection of the yard has a place, and places are dealt to the shards
//! by what each has to do, and numbered so that the tables of each shard have no gaps.

use switchyard_relay::ConnectionId;

/// Connections for which tables have room from the start; beyond, they grow.
const ROOM_MAX: usize = 65_536;

/// How places are dealt out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dealing {
    /// Shards are a power of two: this one.
    shift: u32,
    /// Connections that there may be in all.
    connections_max: usize,
}

impl Dealing {
    /// Among so many shards, a power of two, which have at most so many connections in all.
    pub(super) fn among(shards: u32, connections_max: usize) -> Self {
        debug_assert!(shards.is_power_of_two());
        Dealing {
            shift: shards.trailing_zeros(),
            connections_max,
        }
    }

    /// Places for which tables have room, of all shards together.
    pub(super) fn room(self) -> usize {
        let room = self.connections_max.min(ROOM_MAX);
        // Where there are several, the yard's own has the smallest part and the others have more.
        if self.shift == 0 { room } else { 2 * room }
    }

    /// A shard's table of connections, empty. Its room is set aside at once: what is never touched
    /// costs no memory, and a table that grows leaves holes as large as itself.
    pub(super) fn table<T>(self) -> Vec<Option<T>> {
        Vec::with_capacity(self.room() >> self.shift)
    }

    pub(super) fn shards(self) -> usize {
        1 << self.shift
    }

    /// The shard that holds a connection; the yard itself is the first.
    #[inline]
    pub(super) fn shard(self, id: ConnectionId) -> usize {
        id.place() as usize & (self.shards() - 1)
    }

    /// Where in its shard's tables a connection stands.
    #[inline]
    pub(super) fn index(self, id: ConnectionId) -> usize {
        (id.place() >> self.shift) as usize
    }
}

/// The places that are taken and those that are free.
#[derive(Debug)]
pub(super) struct Places {
    dealing: Dealing,
    shards: Vec<Share>,
    life: u32,
}

/// One shard's places, by their index.
#[derive(Debug, Default)]
struct Share {
    free: Vec<u32>,
    /// Those ever taken.
    made: u32,
}

impl Share {
    fn taken(&self) -> usize {
        self.made as usize - self.free.len()
    }
}

impl Places {
    /// All of them free.
    pub(super) fn new(dealing: Dealing) -> Self {
        let shards = std::iter::repeat_with(Share::default);
        Places {
            dealing,
            shards: shards.take(dealing.shards()).collect(),
            life: 0,
        }
    }

    /// Connections that have a place.
    pub(super) fn taken(&self) -> usize {
        self.shards.iter().map(Share::taken).sum()
    }

    /// A place for a new connection, on the shard that has least to do.
    pub(super) fn take(&mut self) -> ConnectionId {
        let load = |&at: &usize| self.shards[at].taken() * self.weight(at);
        let at = (0..self.shards.len()).min_by_key(load).unwrap_or(0);
        let shard = &mut self.shards[at];
        let index = shard.free.pop().unwrap_or_else(|| {
            shard.made += 1;
            shard.made - 1
        });
        // The two highest bits are the driver's.
        self.life = self.life.wrapping_add(1) & (u32::MAX >> 2);
        ConnectionId::new(index << self.dealing.shift | at as u32, self.life)
    }

    /// A connection is wholly gone.
    pub(super) fn give_back(&mut self, id: ConnectionId) {
        self.shards[self.dealing.shard(id)]
            .free
            .push(self.dealing.index(id) as u32);
    }

    /// What a connection weighs on a shard. Sockets are seven eighths of what a message costs, and the
    /// relay, which is the yard's alone, the last one: it takes the fewer connections the more it has
    /// to do for others.
    fn weight(&self, shard: usize) -> usize {
        match (shard, self.shards.len()) {
            (_, 1) | (1.., _) => 8,
            (0, 2) => 11,
            (0, 4) => 16,
            (0, _) => 800,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn places_are_dealt_without_gaps_and_used_again_with_another_life() {
        for (shards, expected) in [
            (1, &[1000][..]),
            (2, &[421, 579]),
            (4, &[143, 286, 286, 285]),
            (8, &[2, 143, 143, 143, 143, 142, 142, 142]),
        ] {
            let dealing = Dealing::among(shards, 1000);
            let room = dealing.table::<u64>().capacity();
            let mut places = Places::new(dealing);
            let ids: Vec<_> = (0..1000).map(|_| places.take()).collect();
            assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 1000);
            for (shard, &count) in expected.iter().enumerate() {
                let mine = ids.iter().filter(|&&id| dealing.shard(id) == shard);
                let indexes: Vec<_> = mine.map(|&id| dealing.index(id)).collect();
                assert!(count <= room, "{count} of {shards}, and room for {room}");
                assert_eq!(indexes, (0..count).collect::<Vec<_>>(), "{shards}, {shard}");
            }
            assert_eq!(places.taken(), 1000);
            places.give_back(ids[7]);
            assert_eq!(places.taken(), 999);
            let again = places.take();
            assert_eq!(again.place(), ids[7].place());
            assert_ne!(again, ids[7]);
        }
    }
}
