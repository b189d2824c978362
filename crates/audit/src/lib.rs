//! The audit log as a chain of hashes: each entry's hash covers its fields and the hash before it.
//!
//! It keeps nothing and reads no clock: the store appends in its transactions, and whoever wants to know reads the rows back and asks [`verify`].
//! A chain shows an entry that was altered, dropped or moved inside it. That its end was cut off shows only against a [`Head`] that was kept
//! elsewhere. Called by store and gateway.
#![no_std]
extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use names::Digest;

/// What the hash of an entry begins with; another meaning gets another tag.
const TAG: &[u8] = b"sealwright audit entry 1\n";

/// What happened, before it has a place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Event {
    /// Unix seconds.
    pub at: u64,
    /// User id of who did it; empty when nobody is known.
    pub actor: String,
    /// What was tried, such as `session.open`.
    pub action: String,
    /// What it was about: a user id, a session id, a name.
    pub subject: String,
    /// `ok`, or the code of the refusal.
    pub result: String,
    /// Id of the request.
    pub request: String,
    /// The day's tag of the caller's address.
    pub address: String,
}

/// The end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of the last entry; 0 when there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

impl Head {
    /// Of a chain without entries.
    pub const START: Self = Self { seq: 0, hash: Digest::from_bytes([0; 32]) };
}

/// An entry in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// 1, 2, 3 and so on.
    pub seq: u64,
    /// What happened.
    pub event: Event,
    /// Hash of the entry before.
    pub prev: Digest,
    /// Hash of this one.
    pub hash: Digest,
}

impl Entry {
    /// The entry that follows `head`.
    #[must_use]
    pub fn after(head: &Head, event: Event) -> Self {
        let seq = head.seq.saturating_add(1);
        let hash = hash(seq, &head.hash, &event);
        Self { seq, event, prev: head.hash, hash }
    }

    /// The chain's end when this is its last entry.
    #[must_use]
    pub const fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }
}

/// Where a chain is broken; each names the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Entries are missing, twice there or out of order.
    #[error("entry {0} is not the next one")]
    Order(u64),
    /// The entry does not follow the one before it.
    #[error("entry {0} does not follow the entry before it")]
    Link(u64),
    /// A field is not what was hashed.
    #[error("entry {0} was altered")]
    Altered(u64),
    /// The chain begins with another entry than the first, and no entry in it says that those before were removed.
    #[error("entries before {0} are missing, and the chain does not say that they were removed")]
    Start(u64),
    /// The chain ends before a head that was seen, or has another entry there.
    #[error("the chain does not hold entry {0} as it was seen")]
    Head(u64),
}

/// Follows a chain from `start` over `entries` and answers its end.
///
/// # Errors
/// The first place where it is broken.
pub fn verify<'a>(start: Head, entries: impl IntoIterator<Item = &'a Entry>) -> Result<Head, Broken> {
    entries.into_iter().try_fold(start, |head, entry| {
        if Some(entry.seq) != head.seq.checked_add(1) {
            return Err(Broken::Order(entry.seq));
        }
        if entry.prev != head.hash {
            return Err(Broken::Link(entry.seq));
        }
        if entry.hash != hash(entry.seq, &entry.prev, &entry.event) {
            return Err(Broken::Altered(entry.seq));
        }
        Ok(entry.head())
    })
}

/// Follows a chain and asks that it holds what was seen before: a head that was kept elsewhere.
///
/// # Errors
/// As [`verify`], and [`Broken::Head`].
pub fn verify_since<'a>(
    start: Head,
    entries: impl IntoIterator<Item = &'a Entry> + Clone,
    seen: &Head,
) -> Result<Head, Broken> {
    let end = verify(start, entries.clone())?;
    let there = *seen == start || entries.into_iter().any(|entry| entry.head() == *seen);
    if there { Ok(end) } else { Err(Broken::Head(seen.seq)) }
}

/// What is written into a chain when its beginning is removed, so that the chain itself says from where on it is whole.
pub const PRUNED: &str = "audit.prune";

/// The subject of a [`PRUNED`] entry: the last entry that was removed.
#[must_use]
pub fn pruned_up_to(last: &Head) -> String {
    format!("{} {}", last.seq, last.hash)
}

/// Follows a chain whose beginning may have been removed. It is whole from the first entry that is there, if the newest [`PRUNED`]
/// entry names the one before it; a chain that begins with entry 1 needs none.
///
/// # Errors
/// As [`verify`], and [`Broken::Start`].
pub fn verify_pruned<'a>(entries: impl IntoIterator<Item = &'a Entry> + Clone) -> Result<Head, Broken> {
    let Some(first) = entries.clone().into_iter().next() else { return Ok(Head::START) };
    let start = Head { seq: first.seq.saturating_sub(1), hash: first.prev };
    let end = verify(start, entries.clone())?;
    let named = entries.into_iter().filter(|entry| entry.event.action == PRUNED).last();
    let is_named = named.is_some_and(|entry| entry.event.subject == pruned_up_to(&start));
    if start == Head::START || is_named { Ok(end) } else { Err(Broken::Start(first.seq)) }
}

/// Every field with its length before it, so that no two events have the same bytes.
fn hash(seq: u64, prev: &Digest, event: &Event) -> Digest {
    let Event { at, actor, action, subject, result, request, address } = event;
    let mut bytes = Vec::from(TAG);
    bytes.extend_from_slice(&seq.to_be_bytes());
    bytes.extend_from_slice(prev.as_bytes());
    bytes.extend_from_slice(&at.to_be_bytes());
    for field in [actor, action, subject, result, request, address] {
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field.as_bytes());
    }
    Digest::of(&bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn chain(length: u64) -> Vec<Entry> {
        let mut head = Head::START;
        let mut entries = Vec::new();
        for number in 0..length {
            let event = Event { at: number, action: format!("act{number}"), ..Event::default() };
            let entry = Entry::after(&head, event);
            head = entry.head();
            entries.push(entry);
        }
        entries
    }

    #[test]
    fn a_whole_chain_ends_in_its_head() {
        let entries = chain(5);
        assert_eq!(verify(Head::START, &entries), Ok(entries[4].head()));
        assert_eq!(verify(entries[1].head(), &entries[2..]), Ok(entries[4].head()));
        assert_eq!(verify(Head::START, &[]), Ok(Head::START));
    }

    #[test]
    fn an_altered_field_is_found() {
        let fields: [fn(&mut Event); 7] = [
            |event| event.at += 1,
            |event| event.actor.push('x'),
            |event| event.action.push('x'),
            |event| event.subject.push('x'),
            |event| event.result.push('x'),
            |event| event.request.push('x'),
            |event| event.address.push('x'),
        ];
        for change in fields {
            let mut entries = chain(5);
            change(&mut entries[2].event);
            assert_eq!(verify(Head::START, &entries), Err(Broken::Altered(3)));
        }
    }

    /// Whoever alters an entry and hashes it anew has broken the next link.
    #[test]
    fn a_rehashed_entry_breaks_the_next_link() {
        let mut entries = chain(5);
        let event = Event { actor: "someone else".into(), ..entries[2].event.clone() };
        entries[2] = Entry::after(&entries[1].head(), event);
        assert_eq!(verify(Head::START, &entries), Err(Broken::Link(4)));
    }

    #[test]
    fn a_dropped_a_doubled_and_a_moved_entry_are_found() {
        let mut dropped = chain(5);
        dropped.remove(2);
        assert_eq!(verify(Head::START, &dropped), Err(Broken::Order(4)));
        let mut doubled = chain(5);
        doubled.insert(2, doubled[2].clone());
        assert_eq!(verify(Head::START, &doubled), Err(Broken::Order(3)));
        let mut moved = chain(5);
        moved.swap(2, 3);
        assert_eq!(verify(Head::START, &moved), Err(Broken::Order(4)));
    }

    #[test]
    fn a_chain_that_was_cut_off_is_found_by_a_head_that_was_kept() {
        let entries = chain(5);
        let seen = entries[3].head();
        assert_eq!(verify_since(Head::START, &entries, &seen), Ok(entries[4].head()));
        assert_eq!(verify_since(Head::START, &entries[..3], &seen), Err(Broken::Head(4)));
        let rewritten = chain(2);
        assert_eq!(verify_since(Head::START, &rewritten, &seen), Err(Broken::Head(4)));
    }

    /// A chain of which the first `removed` are gone, as its store writes it.
    fn pruned(length: u64, removed: usize) -> Vec<Entry> {
        let mut entries = chain(length);
        let last = entries[removed - 1].head();
        let event = Event { action: PRUNED.into(), subject: pruned_up_to(&last), ..Event::default() };
        entries.push(Entry::after(&entries[entries.len() - 1].head(), event));
        entries.split_off(removed)
    }

    #[test]
    fn a_pruned_chain_is_whole_from_where_it_says() {
        assert_eq!(verify_pruned(&chain(5)), Ok(chain(5)[4].head()));
        assert_eq!(verify_pruned(&[]), Ok(Head::START));
        let entries = pruned(5, 2);
        assert_eq!(verify_pruned(&entries), Ok(entries[3].head()));
    }

    #[test]
    fn a_beginning_that_was_cut_off_without_a_word_or_farther_than_said_is_found() {
        assert_eq!(verify_pruned(&chain(5)[2..]), Err(Broken::Start(3)));
        assert_eq!(verify_pruned(&pruned(5, 2)[1..]), Err(Broken::Start(4)));
        let mut altered = pruned(5, 2);
        altered[3].event.subject = pruned_up_to(&altered[0].head());
        assert_eq!(verify_pruned(&altered[1..]), Err(Broken::Altered(6)));
    }

    #[test]
    fn text_that_moves_between_fields_has_another_hash() {
        let one = Event { actor: "ab".into(), action: "c".into(), ..Event::default() };
        let other = Event { actor: "a".into(), action: "bc".into(), ..Event::default() };
        assert_ne!(Entry::after(&Head::START, one).hash, Entry::after(&Head::START, other).hash);
    }
}
