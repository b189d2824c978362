//! Whether the enclave is used: requests of its owner, and data in tunnels. The controller stops what nobody uses.
//!
//! A tab that was forgotten keeps its WebSocket open and answers pings: control frames are no activity.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether there was activity since the last look. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Activity(Arc<AtomicBool>);

impl Activity {
    /// There is some now.
    pub fn mark(&self) {
        // Most of the time it is marked already, and reading is cheaper for all cores.
        if !self.0.load(Ordering::Relaxed) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Whether there was some since the last call.
    #[must_use]
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// One direction of a WebSocket, looked at for frames that carry data (RFC 6455, 5.2).
#[derive(Debug, Clone, Default)]
pub struct Frames {
    header: [u8; 10],
    /// How many bytes of the header are there.
    have: usize,
    /// Bytes of the frame after the header, its mask included.
    left: u64,
}

impl Frames {
    /// Looks at the next bytes; whether a data frame begins or goes on in them.
    pub fn carry_data(&mut self, mut bytes: &[u8]) -> bool {
        let mut data = false;
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left -= count as u64;
                bytes = bytes.get(count..).unwrap_or_default();
                data |= self.is_data();
                continue;
            }
            let Some((first, rest)) = bytes.split_first() else { break };
            bytes = rest;
            if let Some(place) = self.header.get_mut(self.have) {
                *place = *first;
            }
            self.have += 1;
            if let Some(length) = self.length() {
                data |= self.is_data();
                self.left = length;
                self.have = 0;
            }
        }
        data
    }

    /// Continuation, text or binary; 8 to 15 are control frames.
    const fn is_data(&self) -> bool {
        self.header[0] & 0x0f < 8
    }

    /// What follows the header, once it is whole.
    fn length(&self) -> Option<u64> {
        let [_, second, a, b, long @ ..] = self.header;
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let length = match (second & 0x7f, self.have) {
            (length @ 0..=125, 2..) => u64::from(length),
            (126, 4..) => u64::from(u16::from_be_bytes([a, b])),
            (127, 10..) => {
                let [c, d, e, f, g, h] = long;
                u64::from_be_bytes([a, b, c, d, e, f, g, h])
            }
            _ => return None,
        };
        Some(length.saturating_add(mask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match length {
            0..=125 => frame.push(0x80 | length as u8),
            126..=65_535 => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame.extend(vec![7; length]);
        frame
    }

    /// idle-culler#43: a tab that nobody looks at kept its server alive.
    #[test]
    fn pings_and_pongs_are_no_activity_and_data_is() {
        for length in [0, 5, 125] {
            let mut frames = Frames::default();
            assert!(!frames.carry_data(&[frame(9, length), frame(10, length)].concat()), "{length}");
            assert!(frames.carry_data(&frame(1, length)));
            assert!(!frames.carry_data(&frame(10, 2)));
        }
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let stream = [frame(9, 3), frame(2, 70_000), frame(10, 125), frame(0, 300), frame(8, 2)].concat();
        for size in [1, 2, 3, 7, 1000, 65_536] {
            let mut frames = Frames::default();
            let data = stream.chunks(size).filter(|piece| frames.carry_data(piece)).count();
            assert!(data >= 1 && (size > 6 || data < stream.len() / size), "{size}");
            assert!(!frames.carry_data(&frame(9, 1)), "{size}");
        }
    }

    #[test]
    fn activity_is_told_once() {
        let activity = Activity::default();
        activity.mark();
        assert!(activity.take() && !activity.take());
    }
}
