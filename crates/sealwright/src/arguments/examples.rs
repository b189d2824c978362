//! Examples that every help begins with. A test reads each of them as a command line.

mod licenses;

use clap::Command;

/// A verb's path and its examples: a command line, and what it does.
type Examples = (&'static [&'static str], &'static [(&'static str, &'static str)]);

const TEMPLATE: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

const EXAMPLES: &[Examples] = &[
    (
        &[],
        &[
            ("up", "all parts on this machine, until Ctrl-C"),
            ("auth signup alice", "an account, and its key on this machine"),
            ("app publish examples/hello/app.yaml", "a program, measured and signed by you"),
            ("enclave create notes --app hello", "an enclave of yours that runs it"),
            ("enclave verify notes", "what it proves, and what it does not"),
            ("enclave connect notes", "a door to it for any program of yours"),
        ],
    ),
    (
        &["up"],
        &[
            ("up", "everything in ./data, on free ports"),
            ("up --data /srv/sealwright --listen 127.0.0.1:8443", "in a folder and at a port of your choice"),
        ],
    ),
    (&["backup"], &[("backup create monday.tar", "what ./data holds, while `up` runs on it")]),
    (
        &["backup", "create"],
        &[
            ("backup create monday.tar --data /srv/sealwright", "accounts, apps, key files"),
            (
                "backup create monday.tar --with-tpm",
                "also the software TPM and the CA, while `up` is stopped",
            ),
        ],
    ),
    (
        &["backup", "restore"],
        &[("backup restore monday.tar --data again", "a new folder, whole or not at all")],
    ),
    (&["auth"], &[("auth signup alice", "an account"), ("auth status", "who is logged in, until when")]),
    (
        &["auth", "signup"],
        &[
            ("auth signup alice", "asks for a password"),
            ("auth signup alice --password-stdin", "the password is a line on standard input"),
        ],
    ),
    (
        &["auth", "login"],
        &[
            ("auth login alice", "asks for the password, and for a code if there is a second factor"),
            ("auth login alice --device", "shows a code that you enter where you are logged in"),
        ],
    ),
    (&["auth", "sessions"], &[("auth sessions", "the current one is marked")]),
    (
        &["auth", "revoke"],
        &[
            ("auth revoke 0123456789abcdef0123456789abcdef", "the one of that id"),
            ("auth revoke --others", "all but this one"),
        ],
    ),
    (&["auth", "password"], &[("auth password", "asks for the old one and twice for the new one")]),
    (&["auth", "audit"], &[("auth audit", "the newest entries")]),
    (&["auth", "totp"], &[("auth totp enable", "a login needs a code of your app then")]),
    (&["auth", "totp", "enable"], &[("auth totp enable", "shows a secret, and wants a first code")]),
    (&["auth", "totp", "disable"], &[("auth totp disable", "asks for the password")]),
    (&["auth", "recovery-codes"], &[("auth recovery-codes", "ten new ones, shown once")]),
    (&["auth", "logout"], &[("auth logout", "ends the session here and at the server")]),
    (&["auth", "status"], &[("auth status", "for people"), ("auth status -o json", "for programs")]),
    (&["app"], &[("app publish app.yaml", "measured, signed, uploaded"), ("app list", "what there is")]),
    (
        &["app", "publish"],
        &[("app publish examples/hello/app.yaml", "what is there already is not sent again")],
    ),
    (&["app", "list"], &[("app list", "for people"), ("app list -o name", "names alone")]),
    (&["app", "show"], &[("app show hello", "the newest version, as its publisher signed it")]),
    (&["app", "digest"], &[("app digest examples/hello/app.yaml", "needs no server")]),
    (
        &["enclave"],
        &[
            ("enclave create notes --app hello", "makes one and waits until it runs"),
            ("enclave verify notes", "what it proves, and what it does not"),
            ("enclave connect notes", "a door to it for any program of yours"),
        ],
    ),
    (
        &["enclave", "create"],
        &[
            ("enclave create notes --app hello", "the newest version; waits until it runs"),
            ("enclave create notes --app hello --version 1.0.0 --no-wait", "this version; returns at once"),
            (
                "enclave create notes --app hello --idle-timeout 30m",
                "stopped when nobody has used it for half an hour",
            ),
        ],
    ),
    (&["enclave", "list"], &[("enclave list", "for people"), ("enclave list -o name", "names alone")]),
    (&["enclave", "show"], &[("enclave show notes", "state, version, address")]),
    (
        &["enclave", "logs"],
        &[
            ("enclave logs notes", "what its program printed"),
            ("enclave logs notes -f", "and what it prints from now on"),
        ],
    ),
    (&["enclave", "events"], &[("enclave events notes", "the oldest first")]),
    (
        &["enclave", "extend"],
        &[("enclave extend notes --by 4h", "not stopped by itself for four hours from now")],
    ),
    (&["enclave", "cancel"], &[("enclave cancel notes", "does nothing if there is no start under way")]),
    (&["enclave", "stop"], &[("enclave stop notes", "does nothing if it is stopped")]),
    (&["enclave", "start"], &[("enclave start notes", "does nothing if it runs")]),
    (
        &["enclave", "delete"],
        &[
            ("enclave delete notes", "asks you to type its name"),
            ("enclave delete notes --yes", "in scripts"),
        ],
    ),
    (
        &["enclave", "verify"],
        &[
            ("enclave verify notes", "every check, and what is not proved"),
            ("enclave verify notes --save notes.evidence.json", "and keeps the evidence"),
        ],
    ),
    (
        &["enclave", "request"],
        &[
            ("enclave request notes GET /", "verified first, then asked"),
            ("enclave request notes POST /echo --data -", "the body is standard input"),
        ],
    ),
    (
        &["enclave", "connect"],
        &[
            (
                "enclave connect notes",
                "then: curl --unix-socket $XDG_RUNTIME_DIR/sealwright/notes.sock http://notes/",
            ),
            ("enclave connect notes --socket ./notes.sock", "the socket where you want it"),
            ("enclave connect notes --tcp", "a free port, for a browser; prints the address to open"),
        ],
    ),
    (&["demo"], &[("demo", "in a folder that is removed afterwards")]),
    (
        &["verify"],
        &[
            ("verify notes.evidence.json", "judged as of now"),
            ("verify notes.evidence.json --at 2026-11-24T12:00:00Z", "judged as of then"),
        ],
    ),
    (&["context"], &[("context list", "your contexts"), ("context use work", "makes one the current one")]),
    (&["context", "list"], &[("context list", "the current one is marked")]),
    (&["context", "show"], &[("context show", "the current one"), ("context show work", "another one")]),
    (
        &["context", "use"],
        &[
            ("context use work", "by name"),
            ("context use data/client/context.json", "the one that `up` wrote"),
        ],
    ),
    (
        &["context", "create"],
        &[(
            "context create work --gateway https://seal.example:8443 --edge seal.example:8444 --ca root.pem --level tpm",
            "a server elsewhere, by the CA that you trust",
        )],
    ),
    (
        &["context", "set"],
        &[
            ("context set edge seal.example:8444", "it has moved"),
            ("context set simulated allowed", "for a test server"),
        ],
    ),
    (&["context", "delete"], &[("context delete work", "asks you to type its name")]),
    (&["admin"], &[("admin grant alice --data data", "the first admin"), ("admin users", "all accounts")]),
    (
        &["admin", "grant"],
        &[
            ("admin grant alice --data data", "at the database of that folder"),
            ("admin grant alice --database postgres://seal@db.example/seal", "at that database"),
        ],
    ),
    (&["admin", "revoke"], &[("admin revoke alice --data data", "an ordinary account again")]),
    (&["admin", "users"], &[("admin users", "for people"), ("admin users -o json", "for programs")]),
    (&["admin", "disable"], &[("admin disable mallory", "asks you to type the name")]),
    (&["admin", "enable"], &[("admin enable mallory", "the account can log in again")]),
    (&["admin", "audit"], &[("admin audit", "the newest entries of all accounts")]),
    (
        &["doctor"],
        &[("doctor", "looks at this machine"), ("doctor --data /srv/sealwright", "and at that folder")],
    ),
    (
        &["completion"],
        &[
            ("completion bash", "then: source <(sealwright completion bash)"),
            ("completion zsh", "then: source <(sealwright completion zsh)"),
            ("completion fish", "then: sealwright completion fish | source"),
        ],
    ),
    (&["gateway"], &[("gateway --config gateway.yaml", "until it is told to stop")]),
    (&["controller"], &[("controller --config controller.yaml", "until it is told to stop")]),
    (&["agent"], &[("agent --config agent.yaml", "until it is told to stop")]),
    (&["verifier"], &[("verifier --config verifier.yaml", "until it is told to stop")]),
    (&["signer"], &[("signer --config signer.yaml", "until it is told to stop")]),
    (&["edge"], &[("edge --config edge.yaml --check-config", "shows what it would run with")]),
    (&["facade"], &[("facade --config launch.yaml --check-config", "shows what it would run with")]),
];

fn all() -> impl Iterator<Item = &'static Examples> {
    EXAMPLES.iter().chain(licenses::EXAMPLES)
}

/// The command line with its examples in every help.
pub(super) fn illustrated(command: Command) -> Command {
    illustrate(command, &mut Vec::new())
}

fn illustrate(command: Command, path: &mut Vec<String>) -> Command {
    let found = all().find(|(verb, _)| verb.iter().eq(path.iter()));
    let command = match found {
        Some((_, examples)) => command.before_help(text(examples)).help_template(TEMPLATE),
        None => command,
    };
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        path.push(name.clone());
        let command = command.mut_subcommand(name, |sub| illustrate(sub, path));
        path.pop();
        command
    })
}

fn text(examples: &[(&str, &str)]) -> String {
    let width = examples.iter().map(|(line, _)| line.len()).filter(|width| *width < 60).max().unwrap_or(0);
    let lines = examples.iter().map(|(line, what)| match line.len() > width {
        true => format!("  sealwright {line}\n      {what}\n"),
        false => format!("  sealwright {line:<width$}  {what}\n"),
    });
    format!("Examples:\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::CommandFactory;

    use super::super::raw::Raw;
    use super::*;

    fn leaves(command: &Command, path: &[String], into: &mut Vec<Vec<String>>) {
        into.push(path.to_owned());
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            leaves(sub, &[path, &[sub.get_name().to_owned()]].concat(), into);
        }
    }

    #[test]
    fn every_verb_has_examples_and_there_are_no_others() {
        let mut verbs = Vec::new();
        leaves(&Raw::command(), &[], &mut verbs);
        for verb in &verbs {
            assert!(all().any(|(path, _)| path.iter().eq(verb.iter())), "{verb:?}");
        }
        assert_eq!(all().count(), verbs.len());
    }

    #[test]
    fn every_example_is_a_command_line_of_its_verb() {
        for (path, examples) in all() {
            for (line, _) in *examples {
                let words = std::iter::once("sealwright").chain(line.split_whitespace());
                let read = super::super::read(words.map(Into::into), Default::default());
                assert!(read.is_ok(), "{line}: {}", read.err().unwrap());
                let begins = line.split_whitespace().zip(path.iter()).all(|(word, verb)| word == *verb);
                assert!(begins, "{line} is no example of {path:?}");
            }
        }
    }

    #[test]
    fn a_help_begins_with_its_examples() {
        let help = super::super::read(
            ["sealwright", "enclave", "connect", "--help"].map(Into::into),
            Default::default(),
        );
        let help = help.unwrap_err().to_string();
        let position = |text: &str| help.find(text).unwrap_or_else(|| panic!("{text}: {help}"));
        assert!(
            position("Examples:") < position("Usage:") && position("Usage:") < position("--proof-age"),
            "{help}"
        );
    }
}
