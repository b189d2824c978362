//! Who is let in when there are more connections than places: whoever has a request under way stays, and of the others the
//! one that has been idle for longest leaves. So neither silent connections nor ones that are only kept open keep others out.
//!
//! Invariant: a connection is counted from its admission until it ends or is told to leave, once in all and once for its source.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;

/// Places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    /// In all.
    pub(crate) all: usize,
    /// For one source: an IPv4 address or an IPv6 /64.
    pub(crate) per_source: usize,
}

#[derive(Debug)]
struct Guest {
    source: IpAddr,
    requests: usize,
    /// Its key among the idle ones.
    idle: Option<u64>,
    leave: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Room {
    /// Numbers guests, and moments at which one became idle.
    next: u64,
    guests: HashMap<u64, Guest>,
    by_source: HashMap<IpAddr, usize>,
    /// Who is idle, the longest first.
    idle: BTreeMap<u64, u64>,
}

impl Room {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn of_source(&self, source: IpAddr) -> usize {
        self.by_source.get(&source).copied().unwrap_or_default()
    }

    fn enter(&mut self, source: IpAddr, leave: Arc<Notify>) -> u64 {
        let (number, idle) = (self.number(), self.number());
        self.guests.insert(number, Guest { source, requests: 0, idle: Some(idle), leave });
        self.idle.insert(idle, number);
        *self.by_source.entry(source).or_default() += 1;
        number
    }

    /// Nothing where it was told to leave before.
    fn remove(&mut self, number: u64) -> Option<Guest> {
        let guest = self.guests.remove(&number)?;
        if let Some(idle) = guest.idle {
            self.idle.remove(&idle);
        }
        if let Some(count) = self.by_source.get_mut(&guest.source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&guest.source);
            }
        }
        Some(guest)
    }

    /// Tells the longest idle one to leave, if there is one that may be told.
    fn make_room(&mut self, may_leave: impl Fn(&Guest) -> bool) -> bool {
        let is_told = |number: &&u64| self.guests.get(*number).is_some_and(&may_leave);
        let Some(number) = self.idle.values().find(is_told).copied() else { return false };
        if let Some(guest) = self.remove(number) {
            guest.leave.notify_one();
        }
        true
    }

    fn begin(&mut self, number: u64) {
        let Some(guest) = self.guests.get_mut(&number) else { return };
        guest.requests += 1;
        if let Some(idle) = guest.idle.take() {
            self.idle.remove(&idle);
        }
    }

    fn end(&mut self, number: u64) {
        let moment = self.number();
        let Some(guest) = self.guests.get_mut(&number) else { return };
        guest.requests -= 1;
        if guest.requests == 0 {
            guest.idle = Some(moment);
            self.idle.insert(moment, number);
        }
    }
}

/// The door.
#[derive(Debug)]
pub(crate) struct Door {
    places: Places,
    room: Arc<Mutex<Room>>,
}

fn lock(room: &Mutex<Room>) -> MutexGuard<'_, Room> {
    room.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Door {
    pub(crate) fn new(places: Places) -> Self {
        Self { places, room: Arc::default() }
    }

    /// A place; none where everybody inside has a request under way.
    pub(crate) fn admit(&self, address: IpAddr) -> Option<Arc<Place>> {
        let source = source_of(address);
        let mut room = lock(&self.room);
        if room.of_source(source) >= self.places.per_source {
            room.make_room(|guest| guest.source == source).then_some(())?;
        }
        if room.guests.len() >= self.places.all {
            room.make_room(|_| true).then_some(())?;
        }
        let leave = Arc::new(Notify::new());
        let number = room.enter(source, Arc::clone(&leave));
        drop(room);
        Some(Arc::new(Place { room: Arc::clone(&self.room), number, leave }))
    }
}

/// A connection's place.
#[derive(Debug)]
pub(crate) struct Place {
    room: Arc<Mutex<Room>>,
    number: u64,
    leave: Arc<Notify>,
}

impl Place {
    /// Comes when another one needs the place.
    pub(crate) async fn left(&self) {
        self.leave.notified().await;
    }

    /// A request has begun; it ends with what is returned.
    pub(crate) fn request(self: &Arc<Self>) -> UnderWay {
        lock(&self.room).begin(self.number);
        UnderWay(Arc::clone(self))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.room).remove(self.number);
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Place>);

impl UnderWay {
    /// It is under way until the last byte of its answer.
    pub(crate) fn until_the_end_of(self, body: Body) -> Body {
        Body::new(Answer { body, _under_way: self })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.0.room).end(self.0.number);
    }
}

struct Answer {
    body: Body,
    _under_way: UnderWay,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An IPv6 customer has a whole /64, so that is what is counted.
fn source_of(address: IpAddr) -> IpAddr {
    const SUBNET: u128 = !(u64::MAX as u128);
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & SUBNET)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::FutureExt;

    use super::*;

    fn door(all: usize, per_source: usize) -> Door {
        Door::new(Places { all, per_source })
    }

    fn enter(door: &Door, address: &str) -> Arc<Place> {
        door.admit(address.parse().unwrap()).unwrap()
    }

    fn is_told(place: &Place) -> bool {
        place.left().now_or_never().is_some()
    }

    #[test]
    fn the_longest_idle_connection_makes_room_and_a_busy_one_never() {
        let door = door(3, 3);
        let (busy, first, second) =
            (enter(&door, "192.0.2.1"), enter(&door, "192.0.2.2"), enter(&door, "192.0.2.3"));
        let request = busy.request();
        drop(first.request());
        let _third = enter(&door, "192.0.2.4");
        assert!(is_told(&second) && !is_told(&first) && !is_told(&busy), "`first` was active after `second`");
        drop(request);
        let _all = [
            enter(&door, "192.0.2.5").request(),
            enter(&door, "192.0.2.6").request(),
            enter(&door, "192.0.2.7").request(),
        ];
        assert!(door.admit("192.0.2.8".parse().unwrap()).is_none(), "everybody inside is busy");
    }

    #[test]
    fn a_source_at_its_bound_displaces_its_own() {
        let door = door(4, 2);
        let other = enter(&door, "2001:db8::1");
        let (first, second) = (enter(&door, "192.0.2.1"), enter(&door, "::ffff:192.0.2.1"));
        let _third = enter(&door, "192.0.2.1");
        assert!(is_told(&first) && !is_told(&second) && !is_told(&other));
        // A subnet of IPv6 is one source.
        let _same = enter(&door, "2001:db8::ffff");
        let _full = enter(&door, "2001:db8::2");
        assert!(is_told(&other));
    }

    #[test]
    fn places_come_back_and_sources_are_forgotten() {
        let door = door(1, 1);
        let place = enter(&door, "192.0.2.1");
        let request = place.request();
        assert!(door.admit("192.0.2.1".parse().unwrap()).is_none());
        drop(request);
        let next = enter(&door, "192.0.2.1");
        assert!(is_told(&place));
        // One that was told is counted no more, whatever it does until it is gone.
        drop(place.request());
        drop((place, next));
        let room = lock(&door.room);
        assert!(room.guests.is_empty() && room.by_source.is_empty() && room.idle.is_empty());
    }
}
