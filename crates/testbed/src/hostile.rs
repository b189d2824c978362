//! An app that does what its user tells it to: Perl, which every Debian has, runs the body of each request.

use std::fs;

use crate::commands::User;
use crate::world::World;

/// It answers with the value of the code, or with `died: ` and why.
const APP: &str = r#"$| = 1; $SIG{CHLD} = 'IGNORE'; $SIG{PIPE} = 'IGNORE';
socket(L, 2, 1, 0); setsockopt(L, 1, 2, pack("i", 1)); bind(L, pack("S n C4 x8", 2, 8080, 0, 0, 0, 0)) or die; listen(L, 16);
sub try { my ($n, $c) = @_; my $r = eval { local $SIG{ALRM} = sub { die "slow" }; alarm 5; my $v = $c->(); alarm 0; $v }; "$n=" . ($r ? "open" : "shut") . "\n" }
sub dial { socket(my $s, 1, 1, 0) or return 0; connect($s, pack("S a108", 1, $_[0])) }
while (accept(C, L)) {
  my $n = 0; while (<C>) { last if /^\r?\n$/; $n = $1 if /^content-length: *(\d+)/i }
  read(C, my $code, $n); my $said = eval $code; $said = "died: $@" if $@;
  print C "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: " . length($said) . "\r\n\r\n$said"; close C;
}
"#;

impl World {
    /// An `app.yaml` of the hostile app, with 64 MiB and 16 processes.
    ///
    /// # Panics
    /// Where the file can't be written.
    #[must_use]
    pub fn hostile(&self) -> String {
        let path = self.path("hostile.yaml");
        let code: String = APP.lines().map(|line| format!("    {line}\n")).collect();
        let text = format!(
            "name: hostile\nversion: \"1\"\ncommand: /bin/perl\nargs:\n  - -e\n  - |\n{code}port: 8080\nwritable: [/tmp]\n\
             files:\n  - {{from: /usr/bin/perl, to: /bin/perl, libraries: true}}\n\
             resources: {{memory: 64MiB, processes: 16}}\n"
        );
        fs::write(&path, text).expect("the folder is ours");
        path.to_string_lossy().into_owned()
    }
}

impl User<'_> {
    /// What the hostile app says after it has done this.
    pub fn tell(&self, name: &str, code: &str) -> String {
        let said = self.told(name, code);
        assert_eq!(said.code, 0, "{said:#?}");
        said.stdout
    }

    /// The same, whatever comes of it.
    #[must_use]
    pub fn told(&self, name: &str, code: &str) -> crate::Said {
        let arguments = ["enclave", "request", name, "POST", "/", "--data", "-", "--allow-simulated"];
        self.run_with(&arguments, code.as_bytes())
    }

    /// Each attempt has to fail. They are pieces of Perl, `NAME => CODE`; true means that it got out.
    pub fn all_shut(&self, name: &str, attempts: &[(&str, String)]) {
        let tries = attempts.iter().map(|(what, code)| format!("try({what:?}, sub {{ {code} }})"));
        let said = self.tell(name, &tries.collect::<Vec<_>>().join(" . "));
        let shut = said.lines().filter(|line| line.ends_with("=shut")).count();
        assert!(shut == attempts.len() && said.lines().count() == shut, "{said}");
    }
}
