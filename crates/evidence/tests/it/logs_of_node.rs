//! Do the boot log and the IMA list replay to the quoted registers?

use evidence::{Rejected, verify};
use forge::{NOW, World, boot_log, ima_list};
use names::Level;

use crate::case::{Case, check, defect, digest, node_drafted, node_sealed};

const EV_S_CRTM_VERSION: u32 = 8;

/// A log in the old format, which has SHA-1 digests only.
fn sha1_log() -> Vec<u8> {
    let [pcr, kind, size] = [0u32, EV_S_CRTM_VERSION, 1].map(u32::to_le_bytes);
    [pcr.as_slice(), &kind, &[0; 20], &size, b"v"].concat()
}

pub const CASES: &[Case] = &[
    defect(Rejected::BootLogMalformed, "half a boot log", |world| {
        node_sealed(world, |evidence| {
            evidence.boot_log.as_mut().unwrap().0.pop();
        })
    }),
    defect(Rejected::BootLogMalformed, "a boot log without SHA-256", |world| {
        node_sealed(world, |evidence| evidence.boot_log.as_mut().unwrap().0 = sha1_log())
    }),
    defect(Rejected::BootLogReplay, "a boot log without its last event", |world| {
        node_drafted(world, |draft| {
            let whole = forge::boot_log_with_secure_boot(1);
            draft.boot(whole);
            draft.boot_log = Some(forge::BOOT_LOG());
        })
    }),
    defect(Rejected::BootLogReplay, "a boot log of another version", |world| {
        node_drafted(world, |draft| draft.boot_log = Some(boot_log(&[(0, EV_S_CRTM_VERSION, b"v2\0")])))
    }),
    defect(Rejected::BootLogData, "other event data than was measured", |world| {
        node_sealed(world, |evidence| {
            let log = &mut evidence.boot_log.as_mut().unwrap().0;
            let at = log.windows(3).position(|window| window == b"v1\0").unwrap();
            log[at + 1] = b'2';
        })
    }),
    defect(Rejected::ImaMalformed, "a line of an unknown template", |world| {
        node_sealed(world, |evidence| evidence.ima_log.as_mut().unwrap().0.extend(b"10 00 ima-new x\n"))
    }),
    defect(Rejected::ImaReplay, "a line less than measured", |world| {
        node_drafted(world, |draft| {
            let lines: Vec<&[u8]> = draft.measured_ima.split_inclusive(|byte| *byte == b'\n').collect();
            draft.ima_log = Some(lines[..2].concat());
        })
    }),
    defect(Rejected::ImaReplay, "another file than measured", |world| {
        node_drafted(world, |draft| draft.ima_log = Some(ima_list(&[("/usr/bin/false", digest(9))])))
    }),
    defect(Rejected::ImaReplay, "a list whose register is not quoted", |world| {
        node_drafted(world, |draft| draft.pcrs.retain(|pcr| *pcr != 10))
    }),
    defect(Rejected::NodeLogsMissing, "no boot log", |world| {
        node_drafted(world, |draft| draft.boot_log = None)
    }),
    defect(Rejected::NodeLogsMissing, "no IMA list", |world| {
        node_drafted(world, |draft| draft.ima_log = None)
    }),
];

#[test]
fn logs_that_do_not_replay_are_rejected() {
    check(CASES);
}

#[test]
fn the_list_is_kept_with_how_much_of_it_was_quoted() {
    let world = World::new();
    let mut draft = world.node_draft();
    let longer = [forge::IMA_LIST(), ima_list(&[("/usr/bin/later", digest(9))])].concat();
    draft.ima_log = Some(longer.clone());
    let verified = verify(world.node_challenge(), &draft.seal(), &world.roots(Level::Tpm), NOW).unwrap();
    let ima = verified.facts().ima.as_ref().unwrap();
    assert_eq!((&ima.list, ima.covered), (&longer, 3));
}
