//! How the command ends: one number per kind of outcome, the same for every verb.

/// The exit codes of `sealwright`, a contract with scripts: numbers never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// It is done, or it already was so.
    Ok,
    /// It was tried and did not work, and none of the codes below says why.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// Attestation refused: the enclave is not what it should be, or cannot show it.
    Refused,
    /// Nobody is logged in, or the session has ended.
    LogInFirst,
    /// There is no such thing, or it is not yours to know.
    NotFound,
    /// It conflicts with what is there, or a limit is reached.
    Conflict,
    /// The server cannot be reached.
    Unreachable,
    /// It is still under way when the waiting time is over.
    Pending,
    /// The node's TPM is gone, and its registers with it: only a new start helps.
    StartAgain,
    /// Ctrl-C.
    Interrupted,
}

impl ExitCode {
    /// Every code, in the order of its number.
    pub(crate) const ALL: [ExitCode; 11] = [
        ExitCode::Ok,
        ExitCode::Failed,
        ExitCode::Usage,
        ExitCode::Refused,
        ExitCode::LogInFirst,
        ExitCode::NotFound,
        ExitCode::Conflict,
        ExitCode::Unreachable,
        ExitCode::Pending,
        ExitCode::StartAgain,
        ExitCode::Interrupted,
    ];

    /// The number that the shell sees.
    pub(crate) fn number(self) -> u8 {
        match self {
            ExitCode::Ok => 0,
            ExitCode::Failed => 1,
            ExitCode::Usage => 2,
            ExitCode::Refused => 3,
            ExitCode::LogInFirst => 4,
            ExitCode::NotFound => 5,
            ExitCode::Conflict => 6,
            ExitCode::Unreachable => 7,
            ExitCode::Pending => 8,
            ExitCode::StartAgain => 9,
            ExitCode::Interrupted => 130,
        }
    }

    /// One line for a person.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            ExitCode::Ok => "done, or already so",
            ExitCode::Failed => "tried, and it did not work",
            ExitCode::Usage => "the command line makes no sense",
            ExitCode::Refused => {
                "attestation refused: the enclave is not what it should be, or cannot show it"
            }
            ExitCode::LogInFirst => "log in first",
            ExitCode::NotFound => "not found",
            ExitCode::Conflict => "conflict with what is there, or a limit is reached",
            ExitCode::Unreachable => "cannot reach the server",
            ExitCode::Pending => "still under way when the waiting time was over",
            ExitCode::StartAgain => "the node's TPM has ended: start `up` again, as a service manager does",
            ExitCode::Interrupted => "interrupted (Ctrl-C)",
        }
    }

    /// The table that `help exit-codes` prints.
    pub(crate) fn table() -> String {
        let mut table = String::from("Exit codes of every sealwright command:\n\n");
        for code in Self::ALL {
            table.push_str(&format!("  {:>3}  {}\n", code.number(), code.meaning()));
        }
        table
    }
}

impl From<client::Fault> for ExitCode {
    fn from(fault: client::Fault) -> Self {
        match fault {
            client::Fault::Failed => ExitCode::Failed,
            client::Fault::Usage => ExitCode::Usage,
            client::Fault::Refused => ExitCode::Refused,
            client::Fault::LogInFirst => ExitCode::LogInFirst,
            client::Fault::NotFound => ExitCode::NotFound,
            client::Fault::Conflict => ExitCode::Conflict,
            client::Fault::Unreachable => ExitCode::Unreachable,
            client::Fault::Pending => ExitCode::Pending,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        std::process::ExitCode::from(code.number())
    }
}

#[cfg(test)]
mod tests {
    use super::ExitCode;

    #[test]
    fn numbers_are_the_contract() {
        let numbers: Vec<u8> = ExitCode::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130]);
    }

    #[test]
    fn every_fault_of_the_client_has_its_own_number() {
        for (fault, number) in [
            (client::Fault::Failed, 1),
            (client::Fault::Usage, 2),
            (client::Fault::Refused, 3),
            (client::Fault::LogInFirst, 4),
            (client::Fault::NotFound, 5),
            (client::Fault::Conflict, 6),
            (client::Fault::Unreachable, 7),
            (client::Fault::Pending, 8),
        ] {
            assert_eq!(ExitCode::from(fault).number(), number, "{fault:?}");
        }
    }

    #[test]
    fn table_names_every_code_once() {
        let table = ExitCode::table();
        for code in ExitCode::ALL {
            assert_eq!(table.matches(code.meaning()).count(), 1, "{code:?}");
        }
    }
}
