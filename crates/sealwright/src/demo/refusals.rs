//! The refusals: each a real attempt, each with the reason code that it must get.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use client::{Context as ClientContext, Profile};
use evidence::{Audience, Challenge, ChannelRule, Evidence, Expectation, Roots, Statement};
use hardware::AkPurpose;
use names::Digest;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::cli::Stage;
use super::lab::Lab;
use super::raw::Thief;

const OTHER_BOOT_LOG: &[u8] = include_bytes!("../../../../testdata/tpm/ubuntu-2104-no-secure-boot.bin");
const CHALLENGE_LIFE: u64 = 30;

/// Counts what was refused, and fails at the first attempt that was not, or not for the right reason.
struct Tally(usize);

impl Tally {
    fn refused(&mut self, attempt: &str, got: Option<&str>, expected: &[&str]) -> Result<()> {
        match got {
            Some(code) if expected.contains(&code) => {
                self.0 += 1;
                println!("  refused  {attempt:<62} {code}");
                Ok(())
            }
            Some(code) => bail!("{attempt}: refused as {code}, expected {}", expected.join(" or ")),
            None => bail!("{attempt}: NOT REFUSED"),
        }
    }
}

/// Makes every attempt; answers how many there were.
pub(super) async fn all(stage: &mut Stage) -> Result<usize> {
    let mut tally = Tally(0);
    simulated(stage, &mut tally).await?;
    flipped_byte(stage, &mut tally).await?;
    wrong_question(stage, &mut tally).await?;
    man_in_the_middle(stage, &mut tally).await?;
    stolen_tokens(stage, &mut tally).await?;
    laboratory(stage, &mut tally).await?;
    other_version(stage, &mut tally).await?;
    Ok(tally.0)
}

async fn simulated(stage: &Stage, tally: &mut Tally) -> Result<()> {
    let said = stage.quiet(&stage.context(), "alice", &["enclave", "verify", "notes"], None).await?;
    if said.code != 3 {
        bail!("a software TPM without leave: exit code {}", said.code);
    }
    tally.refused("a software TPM without --allow-simulated", said.reason(), &["level_simulated"])
}

async fn flipped_byte(stage: &Stage, tally: &mut Tally) -> Result<()> {
    let (good, bad) = (stage.folder().join("good.evidence.json"), stage.folder().join("bad.evidence.json"));
    let saved = good.to_string_lossy();
    let save = ["enclave", "verify", "notes", "--allow-simulated", "--save", &saved];
    let said = stage.quiet(&stage.context(), "alice", &save, None).await?;
    if said.code != 0 {
        bail!("evidence was not saved: {}", said.stderr);
    }
    let mut evidence = Evidence::from_json(&std::fs::read(&good)?)?;
    if let Some(last) = evidence.quote.0.last_mut() {
        *last ^= 1;
    }
    std::fs::write(&bad, evidence.to_json())?;
    let file = bad.to_string_lossy();
    let said = stage.quiet(&stage.context(), "alice", &["verify", &file, "--allow-simulated"], None).await?;
    tally.refused("a flipped byte in the quote", said.reason(), &["quote_signature"])
}

/// What the honest client knows when it asks: roots, its key, the enclave's place.
struct Asker {
    roots: Roots,
    edge: String,
    alice: Thief,
    bob: Thief,
}

impl Asker {
    fn new(stage: &Stage) -> Result<Self> {
        let context = ClientContext::load(&stage.context())?;
        Ok(Self {
            roots: context.roots()?,
            edge: context.edge.to_string(),
            alice: Thief::with_key_of(&stage.context(), "alice")?,
            bob: Thief::with_key_of(&stage.context(), "bob")?,
        })
    }
}

fn challenge(nonce: [u8; 32], audience: Digest, evidence: &Evidence) -> Challenge {
    let certificate = evidence.certificate.as_ref().map(|der| Digest::of(&der.0));
    let certificate = certificate.unwrap_or(Digest::from_bytes([0; 32]));
    let expectation = Expectation::Serve { certificate, channel: ChannelRule::Unbound };
    Challenge::new(nonce, client::time::now(), CHALLENGE_LIFE, Audience::Key(audience), expectation)
}

fn code(challenge: Challenge, evidence: &Evidence, roots: &Roots) -> Option<&'static str> {
    evidence::verify(challenge, evidence, roots, client::time::now()).err().map(evidence::Rejected::code)
}

async fn wrong_question(stage: &Stage, tally: &mut Tally) -> Result<()> {
    let asker = Asker::new(stage)?;
    let host = names::enclave_host("notes", "alice");
    let first = asker.alice.evidence(&asker.edge, &host, &[1; 32]).await?;
    let first = Evidence::from_json(&first).context("alice's evidence")?;
    let owner = asker.alice.key_hash();
    if let Some(code) = code(challenge([1; 32], owner, &first), &first, &asker.roots) {
        bail!("evidence for the right question was refused: {code}");
    }
    let got = code(challenge([2; 32], owner, &first), &first, &asker.roots);
    tally.refused("an old answer to a new nonce", got, &["nonce_mismatch"])?;

    // Somebody else asks alice's enclave with alice's nonce, and passes the answer on to her.
    let relayed = asker.bob.evidence(&asker.edge, &host, &[3; 32]).await?;
    let relayed = Evidence::from_json(&relayed).context("the relayed evidence")?;
    let got = code(challenge([3; 32], owner, &relayed), &relayed, &asker.roots);
    tally.refused("evidence made for another audience", got, &["audience_mismatch"])
}

async fn man_in_the_middle(stage: &Stage, tally: &mut Tally) -> Result<()> {
    let context = ClientContext::load(&stage.context())?;
    let host = names::enclave_host("notes", "alice");
    let program = std::env::current_exe()?.with_file_name("sealwright-middle");
    let mut middle = Command::new(&program)
        .args([&host, &context.edge.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {}", program.display()))?;
    let output = middle.stdout.take().context("the middle's output")?;
    let address = BufReader::new(output).lines().next_line().await?.context("the middle's address")?;

    // Alice's client is told that the edge is there; everything else is as it was.
    let lied = stage.context().with_file_name("middle.json");
    let mut context = context;
    context.edge = address.parse().context("the middle's address")?;
    context.save(&lied)?;
    let users = lied.with_extension("users");
    if !users.exists() {
        std::os::unix::fs::symlink(stage.context().with_extension("users"), &users)?;
    }
    let verify = ["enclave", "verify", "notes", "--allow-simulated"];
    let said = stage.quiet(&lied, "alice", &verify, None).await?;
    tally.refused(
        "a man in the middle, relaying genuine evidence",
        said.reason(),
        &["certificate_mismatch"],
    )?;
    let request = ["enclave", "request", "notes", "GET", "/", "--allow-simulated"];
    let said = stage.quiet(&lied, "alice", &request, None).await?;
    tally.refused("and a request through him (nothing was sent)", said.reason(), &["certificate_mismatch"])
}

async fn stolen_tokens(stage: &Stage, tally: &mut Tally) -> Result<()> {
    let asker = Asker::new(stage)?;
    let context = ClientContext::load(&stage.context())?;
    let profile = Profile::open(&stage.context(), &"alice".parse()?)?;
    let mut gateway = client::Gateway::new(&context, profile)?;
    let token = gateway.enclave_token(&"notes".parse()?).await?.token;
    let token = Some(token.expose());
    let (notes, diary) = (names::enclave_host("notes", "alice"), names::enclave_host("diary", "bob"));

    let honest = asker.alice.get(&asker.edge, &notes, "/", token).await?;
    if honest.status != 200 {
        bail!("alice's own token was refused with status {}", honest.status);
    }
    let got = asker.bob.get(&asker.edge, &notes, "/", token).await?.code();
    tally.refused("a stolen token with another client certificate", got.as_deref(), &["not_owner"])?;
    let second = asker.alice.with_second_certificate()?;
    let got = second.get(&asker.edge, &notes, "/", token).await?.code();
    tally.refused(
        "alice's token with another certificate of her key",
        got.as_deref(),
        &["token_certificate"],
    )?;
    let got = asker.bob.get(&asker.edge, &diary, "/", token).await?.code();
    let expected = ["token_audience", "token_certificate"];
    tally.refused("alice's token at bob's enclave, with bob's certificate", got.as_deref(), &expected)?;
    let got = asker.alice.get(&asker.edge, &diary, "/", token).await?.code();
    tally.refused("alice's token at bob's enclave, with hers", got.as_deref(), &["not_owner"])?;
    let got = asker.alice.get(&asker.edge, &notes, "/", None).await?.code();
    tally.refused("alice without a token", got.as_deref(), &["token_missing"])
}

async fn laboratory(stage: &Stage, tally: &mut Tally) -> Result<()> {
    println!("  (building a second node for what needs a dishonest one ...)");
    let lab = Lab::build(stage.folder()).await?;
    let roots = lab.roots();
    let owner = Digest::of(b"laboratory owner");
    if let Some(code) = code(challenge([0x4e; 32], owner, lab.genuine()), lab.genuine(), &roots) {
        bail!("the laboratory's genuine evidence was refused: {code}");
    }
    let got = lab.attest_with_other_boot_log(OTHER_BOOT_LOG).await?;
    tally.refused("a node whose boot log does not match", Some(&got), &["boot_log_replay"])?;

    let forged = lab.lie([5; 32], AkPurpose::Enclave).await?;
    if let Some(code) = code(challenge([5; 32], owner, &forged), &forged, &roots) {
        bail!("a statement made by the right key was refused: {code}");
    }
    let forged = lab.lie([6; 32], AkPurpose::Keylime).await?;
    let got = code(challenge([6; 32], owner, &forged), &forged, &roots);
    tally.refused("a quote by the node's other attestation key", got, &["ak_purpose"])?;

    lab.stop_enclave().await?;
    let got = lab.ask_again().await;
    tally.refused("a stopped enclave's facade at the honest agent", got.as_deref(), &["caller_refused"])?;
    let forged = lab.lie([7; 32], AkPurpose::Enclave).await?;
    let got = code(challenge([7; 32], owner, &forged), &forged, &roots);
    tally.refused("a stopped enclave's evidence from a lying agent", got, &["enclave_stopped"])?;
    lab.close().await;
    Ok(())
}

/// The operator starts another version under the name that alice knows.
async fn other_version(stage: &Stage, tally: &mut Tally) -> Result<()> {
    let good = Evidence::from_json(&std::fs::read(stage.folder().join("good.evidence.json"))?)?;
    let known = Statement::parse(&good.statement.0)?.enclave.context("the saved evidence has no enclave")?;
    let policy = stage.folder().join("policy.json");
    write_policy(&policy, &known.version)?;
    let text = std::fs::read_to_string(super::example("hello")?)?;
    let folder = std::path::Path::new(&super::example("hello")?).canonicalize()?;
    let folder = folder.parent().context("the example's folder")?;
    let changed = stage.folder().join("hello-2.yaml");
    std::fs::write(&changed, second_version(&text, folder))?;
    let changed = changed.to_string_lossy().into_owned();
    for arguments in [
        ["app", "publish", &changed].as_slice(),
        &["enclave", "delete", "notes", "--yes"],
        &["enclave", "create", "notes", "--app", "hello", "--version", "2.0.0"],
    ] {
        let said = stage.quiet(&stage.context(), "alice", arguments, None).await?;
        if said.code != 0 {
            bail!("`sealwright {}`: {}", arguments.join(" "), said.stderr);
        }
    }
    let policy = policy.to_string_lossy();
    let verify = ["enclave", "verify", "notes", "--allow-simulated", "--policy", &policy];
    let said = stage.quiet(&stage.context(), "alice", &verify, None).await?;
    tally.refused("another version started under the same name", said.reason(), &["version_unknown"])
}

/// The same app with another version and another greeting; paths made absolute, since the file moves.
fn second_version(text: &str, folder: &std::path::Path) -> String {
    text.replace("1.0.0", "2.0.0")
        .replace("GREETING: hello", "GREETING: changed")
        .replace("from: ..", &format!("from: {}/..", folder.display()))
}

fn write_policy(path: &std::path::Path, version: &Digest) -> Result<()> {
    let policy = appraisal::Policy::new(appraisal::Versions::OneOf(vec![appraisal::Reference {
        digest: *version,
        source: appraisal::Source::UserFile,
    }]));
    std::fs::write(path, serde_json::to_vec(&policy)?).context("write the policy")
}
