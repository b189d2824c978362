//! The queue of starts: bounded, and fair between users. Who asks for fifty enclaves waits behind who asks for one.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// What waits: `who` takes turns, `what` is served in the order in which each of them asked.
#[derive(Clone, Debug)]
pub struct Queue<W, T> {
    /// In the order of turns; nobody is in it without waiting.
    turns: VecDeque<(W, VecDeque<T>)>,
    bound: usize,
}

/// The queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue of starts is full")]
pub struct Full;

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub position: usize,
    /// How many wait.
    pub size: usize,
}

impl<W: PartialEq, T: PartialEq> Queue<W, T> {
    /// An empty queue for at most `bound`.
    #[must_use]
    pub const fn new(bound: usize) -> Self {
        Self { turns: VecDeque::new(), bound }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.turns.iter().map(|(_, waiting)| waiting.len()).sum()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Whether nobody else may wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= self.bound
    }

    /// Takes a place. One that has a place keeps it.
    ///
    /// # Errors
    /// [`Full`].
    pub fn push(&mut self, who: W, what: T) -> Result<(), Full> {
        if self.turns.iter().any(|(_, waiting)| waiting.contains(&what)) {
            return Ok(());
        }
        if self.is_full() {
            return Err(Full);
        }
        match self.turns.iter_mut().find(|(other, _)| *other == who) {
            Some((_, waiting)) => waiting.push_back(what),
            None => self.turns.push_back((who, VecDeque::from([what]))),
        }
        Ok(())
    }

    /// Who is next.
    #[must_use]
    pub fn next(&self) -> Option<&T> {
        self.turns.front().and_then(|(_, waiting)| waiting.front())
    }

    /// Serves the next.
    pub fn pop(&mut self) -> Option<T> {
        let (who, mut waiting) = self.turns.pop_front()?;
        let next = waiting.pop_front();
        if !waiting.is_empty() {
            self.turns.push_back((who, waiting));
        }
        next
    }

    /// Gives a place up.
    pub fn remove(&mut self, what: &T) {
        for (_, waiting) in &mut self.turns {
            waiting.retain(|other| other != what);
        }
        self.turns.retain(|(_, waiting)| !waiting.is_empty());
    }

    /// Which place this one has now.
    #[must_use]
    pub fn place(&self, what: &T) -> Option<Place> {
        let find = |(turn, (_, waiting)): (usize, &(W, VecDeque<T>))| {
            waiting.iter().position(|other| other == what).map(|round| (turn, round))
        };
        let (turn, round) = self.turns.iter().enumerate().find_map(find)?;
        let before = |(other, (_, waiting)): (usize, &(W, VecDeque<T>))| {
            let rounds = if other < turn { round + 1 } else { round };
            waiting.len().min(rounds)
        };
        let ahead: usize = self.turns.iter().enumerate().map(before).sum();
        Some(Place { position: ahead + 1, size: self.len() })
    }

    /// All that wait, the next first.
    #[must_use]
    pub fn in_order(&self) -> Vec<&T> {
        let mut placed: Vec<(usize, &T)> = self
            .turns
            .iter()
            .flat_map(|(_, waiting)| waiting)
            .filter_map(|what| Some((self.place(what)?.position, what)))
            .collect();
        placed.sort_by_key(|(position, _)| *position);
        placed.into_iter().map(|(_, what)| what).collect()
    }
}
