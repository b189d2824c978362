//! The command line as the program uses it: every choice is a type, nothing is checked again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use api::licenses::{CheckOut, CreatePlan, IssueLicense, Validate};
use client::contexts::ContextName;
use client::{EnclaveName, Endpoint, LicenseAct, Lifetimes, UserName};
use licensing::{AkName, Entitlement, LicenseId, PlanCode};
use names::{Digest, Level, TrustDomain};
use store::DatabaseUrl;
use workload::{AppName, AppVersion};

pub(crate) use super::raw::Shell;

/// What was asked, and how.
#[derive(Debug, PartialEq)]
pub(crate) struct Invocation {
    pub(crate) globals: Globals,
    pub(crate) command: Command,
}

/// What holds for every verb.
#[derive(Debug, PartialEq)]
pub(crate) struct Globals {
    /// From `--context` or `SEALWRIGHT_CONTEXT`; else the current context.
    pub(crate) context: ContextChoice,
    /// From `--user` or `SEALWRIGHT_USER`; else who logged in last.
    pub(crate) user: UserChoice,
    pub(crate) output: Output,
}

/// Which context file to use.
#[derive(Debug, PartialEq)]
pub(crate) enum ContextChoice {
    Given(PathBuf),
    Current,
}

/// Which user to act as.
#[derive(Debug, PartialEq)]
pub(crate) enum UserChoice {
    Given(UserName),
    Current,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For people with wide terminals.
    Wide,
    /// For programs.
    Json,
    /// Names alone, one a line.
    Name,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Up(UpOptions),
    Auth(Auth),
    App(App),
    Enclave(Enclave),
    License(License),
    Verify(VerifyFile),
    Context(ContextVerb),
    Demo(DemoOptions),
    Backup(Backup),
    Doctor { data: PathBuf },
    Admin(Admin),
    Completion(Shell),
    Man { folder: PathBuf },
    ExitCodes,
    ConfigSchema,
    Service(ServiceOptions),
}

#[derive(Debug, PartialEq)]
pub(crate) enum Backup {
    Create { file: PathBuf, data: PathBuf, tpm: bool },
    Restore { file: PathBuf, data: PathBuf },
}

/// What `up` was asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct UpOptions {
    pub(crate) data: PathBuf,
    pub(crate) database: Option<DatabaseUrl>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) ready_file: Option<PathBuf>,
    pub(crate) tpm: Tpm,
    pub(crate) config: Option<PathBuf>,
    pub(crate) mode: ServiceMode,
}

/// What the demo was asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct DemoOptions {
    /// Kept afterwards; a folder that is removed, if `None`.
    pub(crate) data: Option<PathBuf>,
}

/// Which TPM `up` uses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tpm {
    Software,
    Device(PathBuf),
}

/// Where a password comes from. Never from a flag: those are visible to every local user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PasswordSource {
    Prompt,
    Stdin,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Auth {
    SignUp { name: UserName, password: PasswordSource },
    LogIn { name: UserName, password: PasswordSource },
    Device { name: UserName },
    LogOut,
    Status,
    Totp(Totp),
    RecoveryCodes { password: PasswordSource },
    Sessions,
    Revoke(Revoke),
    Password { password: PasswordSource },
    Audit,
}

/// Which sessions end.
#[derive(Debug, PartialEq)]
pub(crate) enum Revoke {
    One(String),
    Others,
}

/// What admins do.
#[derive(Debug, PartialEq)]
pub(crate) enum Admin {
    Grant { name: UserName, database: Database },
    Revoke { name: UserName, database: Database },
    Users,
    Disable { name: UserName, confirmation: Confirmation },
    Enable { name: UserName },
    Plans(Plans),
    Licenses(Licenses),
    Node { data: PathBuf },
    Audit,
}

/// What admins do with plans.
#[derive(Debug, PartialEq)]
pub(crate) enum Plans {
    List,
    Show { code: PlanCode },
    Create(CreatePlan),
    Retire { code: PlanCode },
}

/// What admins do with licences.
#[derive(Debug, PartialEq)]
pub(crate) enum Licenses {
    List,
    Show { id: LicenseId },
    Events { id: LicenseId },
    Issue(IssueLicense),
    Change { id: LicenseId, act: LicenseAct, confirmation: Confirmation },
    RotateKey,
}

/// What users do with licences.
#[derive(Debug, PartialEq)]
pub(crate) enum License {
    List,
    Show { id: LicenseId },
    Events { id: LicenseId },
    Validate { id: LicenseId, scope: Validate },
    CheckIn { id: LicenseId },
    Heartbeat { id: LicenseId, enclave: EnclaveName },
    File { id: LicenseId, to: PathBuf, asked: CheckOut },
    Verify { file: PathBuf, node: Option<AkName>, app: Option<Entitlement> },
    Keys,
    AcceptKeys,
}

/// Where accounts are kept.
#[derive(Debug, PartialEq)]
pub(crate) enum Database {
    OfFolder(PathBuf),
    Named(DatabaseUrl),
}

/// What becomes of the authenticator app.
#[derive(Debug, PartialEq)]
pub(crate) enum Totp {
    Enable { password: PasswordSource },
    Disable { password: PasswordSource },
}

#[derive(Debug, PartialEq)]
pub(crate) enum App {
    Publish { file: PathBuf },
    List,
    Show { name: AppName },
    Digest { file: PathBuf },
}

#[derive(Debug, PartialEq)]
pub(crate) enum Enclave {
    Create { name: EnclaveName, app: AppName, version: VersionChoice, lifetimes: Lifetimes, wait: Wait },
    List,
    Show { name: EnclaveName },
    Logs { name: EnclaveName, follow: Follow },
    Stop { name: EnclaveName },
    Extend { name: EnclaveName, by: Duration },
    Cancel { name: EnclaveName },
    Events { name: EnclaveName },
    Start { name: EnclaveName, wait: Wait },
    Delete { name: EnclaveName, confirmation: Confirmation },
    Verify { name: EnclaveName, save: Option<PathBuf>, trust: TrustOptions },
    Request { name: EnclaveName, method: Method, path: String, body: Body, trust: TrustOptions },
    Connect(ConnectOptions),
}

/// What `enclave connect` was asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct ConnectOptions {
    pub(crate) name: EnclaveName,
    pub(crate) place: DoorPlace,
    pub(crate) proof_age: Duration,
    pub(crate) trust: TrustOptions,
}

/// Where the door is to be.
#[derive(Debug, PartialEq)]
pub(crate) enum DoorPlace {
    DefaultSocket,
    Socket(PathBuf),
    Tcp(SocketAddr),
}

/// Whether a verb goes on as long as there may be more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Follow {
    No,
    Yes,
}

/// Which version of an app.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum VersionChoice {
    Newest,
    Exactly(AppVersion),
}

/// Whether a verb waits for what it began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wait {
    No,
    AtMost(Duration),
}

/// Whether to ask before something is gone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Confirmation {
    Ask,
    Given,
}

/// What the caller accepts this time.
#[derive(Debug, PartialEq)]
pub(crate) struct TrustOptions {
    pub(crate) simulated: Simulated,
    pub(crate) policy: Option<PathBuf>,
}

/// Whether the flag `--allow-simulated` was given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Simulated {
    AsContext,
    Allowed,
}

/// Where a request's body comes from.
#[derive(Debug, PartialEq)]
pub(crate) enum Body {
    Empty,
    Stdin,
    File(PathBuf),
}

/// The method of an HTTP request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Method(pub(crate) String);

/// Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment(pub(crate) u64);

#[derive(Debug, PartialEq)]
pub(crate) struct VerifyFile {
    pub(crate) file: PathBuf,
    pub(crate) at: Option<Moment>,
    pub(crate) trust: TrustOptions,
}

#[derive(Debug, PartialEq)]
pub(crate) enum ContextVerb {
    List,
    Show { context: ContextChoice },
    Use { context: PathBuf },
    Create(CreateContext),
    Set(ContextSetting),
    Delete { name: ContextName, confirmation: Confirmation },
}

/// How the CA of a server is known.
#[derive(Debug, PartialEq)]
pub(crate) enum Authority {
    /// By its certificate, and whose SHA-256 that has to have.
    File { path: PathBuf, fingerprint: Option<Digest> },
    /// By the SHA-256 alone: the server shows the certificate.
    Fingerprint(Digest),
}

/// A context for a server elsewhere.
#[derive(Debug, PartialEq)]
pub(crate) struct CreateContext {
    pub(crate) name: ContextName,
    pub(crate) gateway: Endpoint,
    pub(crate) edge: Endpoint,
    pub(crate) authority: Authority,
    pub(crate) level: Level,
    pub(crate) trust_domain: TrustDomain,
    pub(crate) simulated: client::Simulated,
}

/// One changed setting.
#[derive(Debug, PartialEq)]
pub(crate) enum ContextSetting {
    Gateway(Endpoint),
    Edge(Endpoint),
    Simulated(client::Simulated),
}

/// A part that runs alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Part {
    Gateway,
    Controller,
    Agent,
    Verifier,
    Signer,
    Edge,
    Facade,
}

#[derive(Debug, PartialEq)]
pub(crate) struct ServiceOptions {
    pub(crate) part: Part,
    pub(crate) config: PathBuf,
    pub(crate) mode: ServiceMode,
}

/// Run it, or only show what it would run with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ServiceMode {
    Run,
    CheckConfig,
}
