//! What licences do to enclaves: a warning first, then the stop; and nothing starts on another node than a licence's own.

use std::time::Duration;

use api::enclaves::State;
use store::{EnclaveEvent, Event, Licensing, Quota};
use tokio::time::{Instant, sleep};

use crate::world::{GOOD, LICENSE, NODE, WARNING, World, id};

const SOON: Duration = Duration::from_secs(30);

/// Looks until there is what is looked for.
async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < SOON, "{what} did not come");
        sleep(Duration::from_millis(50)).await;
    }
}

impl World {
    async fn suspend(&self) {
        let store = self.store().await;
        store.change_license(&LICENSE, Event::default(), |license, _| license.suspend(9)).await.unwrap();
    }

    async fn reinstate(&self) {
        let store = self.store().await;
        store.change_license(&LICENSE, Event::default(), |license, _| license.reinstate()).await.unwrap();
    }

    async fn lock_to(&self, node: &str) {
        let (store, node) = (self.store().await, node.parse().unwrap());
        let locked =
            store.change_license(&LICENSE, Event::default(), |license, _| license.lock_to(Some(node)));
        locked.await.unwrap();
    }

    async fn warnings(&self) -> Vec<EnclaveEvent> {
        let events = self.store().await.enclave_events(&id(), 0, 100).await.unwrap();
        events.into_iter().filter(|event| event.stage == "warning").collect()
    }

    async fn want_it_again(&self) {
        let quota = Quota { licensing: Licensing::Required, ..Quota::default() };
        self.store().await.want_running(&id(), quota, 3).await.unwrap();
    }
}

#[tokio::test]
async fn a_suspended_license_warns_its_enclaves_and_then_stops_them() {
    let world = World::licensed(GOOD).await;
    world.start().await;
    world.stages().await;
    world.suspend().await;
    let warned = until("a warning", async || world.warnings().await.pop()).await;
    assert_eq!(warned.reason.as_deref(), Some("license"));
    assert_eq!(warned.cause.as_deref(), Some("license-suspended"));
    assert_eq!(world.state().await.0, State::Running, "it runs on until its time has come");
    let stopping = async || Some(world.row().await).filter(|row| row.stops_at.is_some());
    let row = until("the time of the stop", stopping).await;
    assert_eq!(row.stop_reason.as_deref(), Some("license"));
    let stops_at = row.stops_at.unwrap();
    assert!(stops_at <= warned.at + WARNING + 1, "{stops_at}, warned at {}", warned.at);
    until("the stop", async || (world.state().await.0 == State::Stopped).then_some(())).await;
    assert_eq!(world.warnings().await.len(), 1, "told once");
    assert_eq!(world.processes(), [""; 0]);
    world.wait_for_routes(0).await;
    world.reinstate().await;
    world.want_it_again().await;
    until("the start", async || (world.state().await.0 == State::Running).then_some(())).await;
}

#[tokio::test]
async fn a_reinstated_license_withdraws_the_stop() {
    let world = World::licensed(GOOD).await;
    world.start().await;
    world.stages().await;
    world.suspend().await;
    until("the time of the stop", async || world.row().await.stops_at).await;
    world.reinstate().await;
    until("the end of that", async || world.row().await.stops_at.is_none().then_some(())).await;
    sleep(Duration::from_secs(WARNING)).await;
    assert_eq!(world.state().await.0, State::Running);
    let told = world.store().await.license_events(&LICENSE, 0, 100).await.unwrap();
    assert_eq!(told.last().unwrap().event, "lease.stop.withdrawn");
}

#[tokio::test]
async fn a_license_of_another_node_starts_nothing_and_one_of_this_node_does() {
    let world = World::licensed(GOOD).await;
    world.lock_to(&NODE.replace('1', "2")).await;
    world.start().await;
    until("the refusal", async || (world.state().await.0 == State::Failed).then_some(())).await;
    assert_eq!(world.state().await.1.as_deref(), Some("license-node"));
    assert_eq!(world.processes(), [""; 0]);
    assert!(!world.calls().iter().any(|call| call.starts_with("POST")), "nothing was announced");
    world.lock_to(NODE).await;
    world.want_it_again().await;
    until("the start", async || (world.state().await.0 == State::Running).then_some(())).await;
}
