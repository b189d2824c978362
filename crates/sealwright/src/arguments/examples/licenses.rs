//! Examples of `license`, `admin plans` and `admin licenses`.

use super::Examples;

pub(super) const EXAMPLES: &[Examples] = &[
    (
        &["license"],
        &[
            ("license list", "those on which you have a seat"),
            (
                "license file 0123456789abcdef0123456789abcdef --to work.lic",
                "good for a day without the server",
            ),
            ("license verify work.lic", "needs no server"),
        ],
    ),
    (
        &["license", "list"],
        &[("license list", "for people"), ("license list -o wide", "with what they cover")],
    ),
    (
        &["license", "show"],
        &[("license show 0123456789abcdef0123456789abcdef", "what it covers, what is used, until when")],
    ),
    (&["license", "events"], &[("license events 0123456789abcdef0123456789abcdef", "for who holds it")]),
    (
        &["license", "validate"],
        &[
            ("license validate 0123456789abcdef0123456789abcdef", "yes, or the code of why not"),
            ("license validate 0123456789abcdef0123456789abcdef --app notes", "does it cover that program?"),
        ],
    ),
    (
        &["license", "check-in"],
        &[("license check-in 0123456789abcdef0123456789abcdef", "before the time in `license show`")],
    ),
    (
        &["license", "heartbeat"],
        &[("license heartbeat 0123456789abcdef0123456789abcdef notes", "says when the next one is due")],
    ),
    (
        &["license", "file"],
        &[
            ("license file 0123456789abcdef0123456789abcdef --to work.lic", "good for a day"),
            ("license file 0123456789abcdef0123456789abcdef --to work.lic --for 12h", "for a shift"),
        ],
    ),
    (
        &["license", "verify"],
        &[
            ("license verify work.lic", "signature, time, your key"),
            ("license verify work.lic --app notes", "and that it covers that program"),
        ],
    ),
    (
        &["license", "keys"],
        &[
            ("license keys", "the first ones that the server names are kept"),
            ("license keys --accept", "after the operator has told you of another key"),
        ],
    ),
    (
        &["admin", "plans"],
        &[
            ("admin plans create team --seats 5 --enclaves 10 --app notes", "a plan"),
            ("admin plans list", "what there is"),
        ],
    ),
    (&["admin", "plans", "list"], &[("admin plans list", "retired ones too")]),
    (&["admin", "plans", "show"], &[("admin plans show team", "its terms")]),
    (
        &["admin", "plans", "create"],
        &[
            ("admin plans create team --seats 5 --enclaves 10 --app notes", "for ever"),
            (
                "admin plans create trial --app * --duration 30d --expiration revoke",
                "what runs is stopped then",
            ),
        ],
    ),
    (&["admin", "plans", "retire"], &[("admin plans retire trial", "no more licences on it")]),
    (
        &["admin", "licenses"],
        &[
            ("admin licenses issue --plan team --holder alice", "a licence"),
            ("admin licenses suspend 0123456789abcdef0123456789abcdef", "what runs stops after a warning"),
        ],
    ),
    (&["admin", "licenses", "list"], &[("admin licenses list", "of everybody")]),
    (
        &["admin", "licenses", "show"],
        &[("admin licenses show 0123456789abcdef0123456789abcdef", "with all its seats")],
    ),
    (
        &["admin", "licenses", "events"],
        &[("admin licenses events 0123456789abcdef0123456789abcdef", "the oldest first")],
    ),
    (
        &["admin", "licenses", "issue"],
        &[("admin licenses issue --plan team --holder alice", "alice gets the first seat")],
    ),
    (
        &["admin", "licenses", "suspend"],
        &[("admin licenses suspend 0123456789abcdef0123456789abcdef", "until `resume`")],
    ),
    (
        &["admin", "licenses", "resume"],
        &[("admin licenses resume 0123456789abcdef0123456789abcdef", "an announced stop is withdrawn")],
    ),
    (
        &["admin", "licenses", "renew"],
        &[("admin licenses renew 0123456789abcdef0123456789abcdef", "from its expiry on, or from now")],
    ),
    (
        &["admin", "licenses", "revoke"],
        &[("admin licenses revoke 0123456789abcdef0123456789abcdef", "asks you to type its id")],
    ),
    (
        &["admin", "licenses", "lock"],
        &[(
            "admin licenses lock 0123456789abcdef0123456789abcdef 000b1111111111111111111111111111111111111111111111111111111111111111",
            "`admin node` tells the name",
        )],
    ),
    (
        &["admin", "licenses", "unlock"],
        &[("admin licenses unlock 0123456789abcdef0123456789abcdef", "every node again")],
    ),
    (
        &["admin", "licenses", "give"],
        &[("admin licenses give 0123456789abcdef0123456789abcdef bob", "within the plan's seats")],
    ),
    (
        &["admin", "licenses", "take"],
        &[("admin licenses take 0123456789abcdef0123456789abcdef bob", "what bob runs on it stops")],
    ),
    (
        &["admin", "licenses", "allow"],
        &[("admin licenses allow 0123456789abcdef0123456789abcdef notes", "beside what its plan covers")],
    ),
    (
        &["admin", "licenses", "disallow"],
        &[("admin licenses disallow 0123456789abcdef0123456789abcdef notes", "what runs goes on")],
    ),
    (&["admin", "node"], &[("admin node --data data", "asks the agent of the `up` on that folder")]),
    (&["admin", "licenses", "rotate-key"], &[("admin licenses rotate-key", "tell your users to accept it")]),
];
