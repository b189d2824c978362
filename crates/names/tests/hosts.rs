//! Host names of enclaves over names that nobody thought of.

use names::{enclave_host, host_label, slug};
use proptest::prelude::*;

/// Names as people choose them, near to each other: few letters, hyphens, digits, capitals and what DNS does not have.
fn name() -> impl Strategy<Value = String> {
    let near = proptest::collection::vec(
        proptest::sample::select(vec!['a', 'b', 'A', '1', '-', '_', '.', 'ü']),
        0..6,
    );
    prop_oneof![near.prop_map(|letters| letters.into_iter().collect()), ".{0,80}", "[a-z]{20,70}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// CVE-2020-15110 (KubeSpawner): two pairs of user and server name became one slug, and so one volume.
    #[test]
    fn distinct_pairs_of_user_and_enclave_have_distinct_hosts(one in (name(), name()), other in (name(), name())) {
        prop_assume!(one != other);
        let host = |(user, enclave): &(String, String)| enclave_host(enclave, user);
        prop_assert_ne!(host(&one), host(&other));
    }

    /// The same CVE: the hyphen that joins may be moved from one name into the other.
    #[test]
    fn a_hyphen_that_moves_between_the_names_changes_the_host(parts in proptest::collection::vec("[a-z]{1,3}", 3..6)) {
        let hosts: Vec<String> = (1..parts.len())
            .map(|at| enclave_host(&parts[..at].join("-"), &parts[at..].join("-")))
            .collect();
        for (index, host) in hosts.iter().enumerate() {
            prop_assert!(!hosts[..index].contains(host), "{hosts:?}");
        }
    }

    #[test]
    fn every_label_is_one_label_of_dns(user in name(), enclave in name()) {
        for label in [host_label(&enclave, &user), slug(&user)] {
            prop_assert!((1..=63).contains(&label.len()), "{label}");
            prop_assert!(label.starts_with(|c: char| c.is_ascii_lowercase()) && !label.ends_with('-'), "{label}");
            prop_assert!(label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{label}");
        }
    }
}
