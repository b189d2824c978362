//! What is done to licences, as the audit log and the enclaves see it.

use fixtures::Database;
use names::EnclaveId;

use crate::{BOB, LICENSE, NOW, act, entitlement, rig, terms};

pub async fn what_an_admin_changes_is_in_the_audit_log_and_what_changes_nothing_is_not(database: Database) {
    let rig = rig(database, terms()).await;
    let count = async || rig.store.audit_after(0, 100).await.unwrap().len();
    let before = count().await;
    assert_eq!(before, 4, "two apps, the plan and the licence");
    for _ in 0..2 {
        rig.store.attach_user(&LICENSE, &BOB, act(NOW)).await.unwrap();
        rig.store.attach_entitlement(&LICENSE, &entitlement("notes"), act(NOW)).await.unwrap();
        rig.store.change_license(&LICENSE, act(NOW), |license, _| license.suspend(NOW)).await.ok();
    }
    assert_eq!(count().await, before + 3);
    for _ in 0..2 {
        rig.store.detach_user(&LICENSE, &BOB, act(NOW)).await.unwrap();
        rig.store.detach_entitlement(&LICENSE, &entitlement("notes"), act(NOW)).await.unwrap();
    }
    assert_eq!(count().await, before + 5);
    let entries = rig.store.audit_after(0, 100).await.unwrap();
    assert_eq!(audit::verify(audit::Head::START, &entries), Ok(rig.store.audit_head().await.unwrap()));
}

pub async fn the_node_of_a_license_is_that_of_its_enclaves(database: Database) {
    let rig = rig(database, terms()).await;
    rig.start(1).await.unwrap();
    let enclave = EnclaveId::from_bytes([1; 16]);
    assert_eq!(rig.store.licensed_node(&enclave).await.unwrap(), None);
    let node = format!("000b{}", "11".repeat(32)).parse().unwrap();
    rig.store.change_license(&LICENSE, act(NOW), |license, _| license.lock_to(Some(node))).await.unwrap();
    assert_eq!(rig.store.licensed_node(&enclave).await.unwrap(), Some(node));
    assert_eq!(rig.store.licensed_node(&EnclaveId::from_bytes([9; 16])).await.unwrap(), None);
}
