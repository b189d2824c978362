//! Medians and percentiles; two pieces of work measured by turns, so that a disturbance hits both.

use std::hint::black_box;
use std::time::Duration;

/// Rounds that are thrown away.
const WARM_UP: usize = 5;

/// Milliseconds with their fraction.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The value below which this share of a sample lies (nearest rank). Zero for an empty sample.
pub(crate) fn percentile(sample: &mut [f64], share: f64) -> f64 {
    sample.sort_by(f64::total_cmp);
    let rank = (share * sample.len() as f64).ceil() as usize;
    sample.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// The middle of a sample.
pub(crate) fn median(sample: &mut [f64]) -> f64 {
    percentile(sample, 0.5)
}

/// Median milliseconds of processor time of each piece of work, all measured by turns. Processor time, because other
/// programs on the machine are none of the work.
pub(crate) fn by_turns<const N: usize>(rounds: usize, work: [&dyn Fn(); N]) -> [f64; N] {
    let mut times = [const { Vec::new() }; N];
    for round in 0..WARM_UP + rounds {
        for (work, times) in work.iter().zip(&mut times) {
            let began = processor_time();
            black_box(work)();
            let took = ms(processor_time().saturating_sub(began));
            if round >= WARM_UP {
                times.push(took);
            }
        }
    }
    times.map(|mut times: Vec<f64>| median(&mut times))
}

/// What this thread has used of a processor so far.
fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_of_the_sample() {
        let mut sample = [3.0, 1.0, 2.0, 4.0];
        assert_eq!(median(&mut sample), 2.0);
        assert_eq!(percentile(&mut sample, 0.99), 4.0);
        assert_eq!(percentile(&mut [], 0.5), 0.0);
    }
}
