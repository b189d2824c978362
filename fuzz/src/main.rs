//! libFuzzer's loop around the target that the variable `FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    targets::find(&name).expect("FUZZ_TARGET is one of the targets")
});

fuzz_target!(|data: &[u8]| (TARGET.run)(data));
