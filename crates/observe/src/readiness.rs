//! Readiness: whether this process can do its work now, and what is missing when it can't.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;

/// How long one check may take.
const DEADLINE: Duration = Duration::from_secs(2);

type Outcome = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// One thing that has to work, with the sentence for when it does not.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    look: Arc<dyn Fn() -> Outcome + Send + Sync>,
}

impl Check {
    /// A check that is made anew for each question.
    pub fn new<F>(name: &'static str, look: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name, look: Arc::new(move || Box::pin(look())) }
    }

    async fn outcome(&self) -> Line {
        let outcome = tokio::time::timeout(DEADLINE, (self.look)()).await;
        let problem = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(problem)) => Some(problem),
            Err(_) => Some(format!("no answer within {} s", DEADLINE.as_secs())),
        };
        Line { name: self.name, ok: problem.is_none(), problem }
    }
}

/// All checks of a process.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Vec<Check>,
    draining: Arc<AtomicBool>,
}

/// What `/readyz` says.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Report {
    /// `ready`, `not_ready` or `draining`.
    pub status: &'static str,
    /// Each check.
    pub checks: Vec<Line>,
}

/// One check in the report.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Line {
    /// What is checked.
    pub name: &'static str,
    /// Whether it works.
    pub ok: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Readiness {
    /// These checks.
    #[must_use]
    pub fn of(checks: Vec<Check>) -> Self {
        Self { checks, draining: Arc::default() }
    }

    /// From now on it is not ready, so that nobody sends new work while the old is finished.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Makes all checks, one after the other: they are few, and the questions must not be a load.
    pub async fn report(&self) -> Report {
        if self.draining.load(Ordering::Relaxed) {
            return Report { status: "draining", checks: Vec::new() };
        }
        let mut checks = Vec::with_capacity(self.checks.len());
        for check in &self.checks {
            checks.push(check.outcome().await);
        }
        let status = if checks.iter().all(|line| line.ok) { "ready" } else { "not_ready" };
        Report { status, checks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_or_fails_makes_it_not_ready_and_says_which() {
        let readiness = Readiness::of(vec![
            Check::new("good", || async { Ok(()) }),
            Check::new("database", || async { Err("connection refused".into()) }),
            Check::new("agent", std::future::pending),
        ]);
        let report = readiness.report().await;
        assert_eq!(report.status, "not_ready");
        let problems: Vec<_> =
            report.checks.iter().map(|line| (line.name, line.problem.as_deref())).collect();
        assert_eq!(
            problems,
            [
                ("good", None),
                ("database", Some("connection refused")),
                ("agent", Some("no answer within 2 s"))
            ]
        );
        readiness.drain();
        assert_eq!(readiness.report().await.status, "draining");
    }
}
