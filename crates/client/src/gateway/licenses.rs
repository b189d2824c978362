//! The calls about licences: of those who use them, and of admins.

use ::http::Method;
use api::licenses::{
    CheckOut, CreatePlan, Heartbeat, IssueLicense, License, LicenseEvents, LicenseFile, LicenseKeys,
    LicenseList, LockToNode, Ping, Plan, PlanList, Validate, Validation,
};
use licensing::{AkName, Entitlement, LicenseId, PlanCode, VerifyKey};

use super::{As, Call, Gateway, LIST_ROWS, page};
use crate::error::Error;
use crate::licenses::published;
use crate::names::{EnclaveName, UserName};

const KEYS: &str = "/.well-known/license-keys.json";
const LICENSES: &str = "/v1/licenses";
const ADMIN_LICENSES: &str = "/v1/admin/licenses";
const ADMIN_PLANS: &str = "/v1/admin/plans";
const ADMIN_KEY: &str = "/v1/admin/license-keys/current";

/// Whose view of licences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Licenses {
    /// Those on which the user has a seat.
    Own,
    /// Those of everybody, for admins.
    All,
}

impl Licenses {
    const fn path(self) -> &'static str {
        match self {
            Self::Own => LICENSES,
            Self::All => ADMIN_LICENSES,
        }
    }
}

/// What an admin does to a licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LicenseAct {
    /// Nothing starts on it, what runs is stopped after a warning.
    Suspend,
    /// The end of a suspension.
    Reinstate,
    /// Another duration.
    Renew,
    /// The end of it.
    Revoke,
    /// It holds on one node only.
    Lock(AkName),
    /// It holds on every node.
    Unlock,
    /// Somebody may use it.
    Give(UserName),
    /// And not any more.
    Take(UserName),
    /// It covers an app.
    Allow(Entitlement),
    /// And not any more, unless its plan does.
    Disallow(Entitlement),
}

impl Gateway {
    /// `GET /v1/licenses` or `GET /v1/admin/licenses`, page after page.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn licenses(&mut self, whose: Licenses) -> Result<LicenseList, Error> {
        let mut all = LicenseList { licenses: Vec::new(), next_cursor: None };
        loop {
            let path = page(whose.path(), all.next_cursor.as_deref());
            let next: LicenseList = self.json(Call::new(Method::GET, &path, As::User)).await?;
            all.licenses.extend(next.licenses);
            all.next_cursor = next.next_cursor;
            if all.next_cursor.is_none() || all.licenses.len() >= LIST_ROWS {
                return Ok(all);
            }
        }
    }

    /// One licence.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn license(&mut self, whose: Licenses, id: &LicenseId) -> Result<License, Error> {
        self.json(Call::new(Method::GET, &format!("{}/{id}", whose.path()), As::User)).await
    }

    /// What happened to a licence, page after page.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn license_events(&mut self, whose: Licenses, id: &LicenseId) -> Result<LicenseEvents, Error> {
        let first = format!("{}/{id}/events", whose.path());
        let mut all = LicenseEvents { events: Vec::new(), next_cursor: None };
        loop {
            let path = page(&first, all.next_cursor.as_deref());
            let next: LicenseEvents = self.json(Call::new(Method::GET, &path, As::User)).await?;
            all.events.extend(next.events);
            all.next_cursor = next.next_cursor;
            if all.next_cursor.is_none() || all.events.len() >= LIST_ROWS {
                return Ok(all);
            }
        }
    }

    /// `POST /v1/licenses/{id}/validate`.
    ///
    /// # Errors
    /// What the gateway says; a licence that does not hold is an answer, not an error.
    pub async fn validate_license(&mut self, id: &LicenseId, scope: &Validate) -> Result<Validation, Error> {
        let path = format!("{LICENSES}/{id}/validate");
        self.json(Call::new(Method::POST, &path, As::User).with_json(scope)?).await
    }

    /// `POST /v1/licenses/{id}/check-in`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn check_in(&mut self, id: &LicenseId) -> Result<License, Error> {
        self.json(Call::new(Method::POST, &format!("{LICENSES}/{id}/check-in"), As::User)).await
    }

    /// `POST /v1/licenses/{id}/heartbeat`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn heartbeat(&mut self, id: &LicenseId, enclave: &EnclaveName) -> Result<Heartbeat, Error> {
        let (path, ping) = (format!("{LICENSES}/{id}/heartbeat"), Ping { enclave: enclave.to_string() });
        self.json(Call::new(Method::POST, &path, As::User).with_json(&ping)?).await
    }

    /// `POST /v1/licenses/{id}/checkout`: a file that verifies offline.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn license_file(&mut self, id: &LicenseId, asked: &CheckOut) -> Result<LicenseFile, Error> {
        let path = format!("{LICENSES}/{id}/checkout");
        self.json(Call::new(Method::POST, &path, As::User).with_json(asked)?).await
    }

    /// The keys that the gateway says sign licence files.
    ///
    /// # Errors
    /// What the gateway says; keys that are none.
    pub async fn license_keys(&mut self) -> Result<Vec<VerifyKey>, Error> {
        let call = Call::new(Method::GET, KEYS, As::Anyone);
        let keys: LicenseKeys = self.json(call).await?;
        published(&keys).map_err(|problem| Call::new(Method::GET, KEYS, As::Anyone).unreadable(problem))
    }

    /// `POST /v1/admin/plans`.
    ///
    /// # Errors
    /// What the gateway says; that it is not there, to who is no admin.
    pub async fn create_plan(&mut self, plan: &CreatePlan) -> Result<Plan, Error> {
        self.json(Call::new(Method::POST, ADMIN_PLANS, As::User).with_json(plan)?).await
    }

    /// `GET /v1/admin/plans`, page after page.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn plans(&mut self) -> Result<PlanList, Error> {
        let mut all = PlanList { plans: Vec::new(), next_cursor: None };
        loop {
            let path = page(ADMIN_PLANS, all.next_cursor.as_deref());
            let next: PlanList = self.json(Call::new(Method::GET, &path, As::User)).await?;
            all.plans.extend(next.plans);
            all.next_cursor = next.next_cursor;
            if all.next_cursor.is_none() || all.plans.len() >= LIST_ROWS {
                return Ok(all);
            }
        }
    }

    /// `GET /v1/admin/plans/{code}`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn plan(&mut self, code: &PlanCode) -> Result<Plan, Error> {
        self.json(Call::new(Method::GET, &format!("{ADMIN_PLANS}/{code}"), As::User)).await
    }

    /// `POST /v1/admin/plans/{code}/retire`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn retire_plan(&mut self, code: &PlanCode) -> Result<Plan, Error> {
        self.json(Call::new(Method::POST, &format!("{ADMIN_PLANS}/{code}/retire"), As::User)).await
    }

    /// `POST /v1/admin/licenses`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn issue_license(&mut self, request: &IssueLicense) -> Result<License, Error> {
        self.json(Call::new(Method::POST, ADMIN_LICENSES, As::User).with_json(request)?).await
    }

    /// What an admin does to a licence; the licence as it is then.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn change_license(&mut self, id: &LicenseId, act: &LicenseAct) -> Result<License, Error> {
        let (method, rest) = match act {
            LicenseAct::Suspend => (Method::POST, "suspend".to_owned()),
            LicenseAct::Reinstate => (Method::POST, "reinstate".to_owned()),
            LicenseAct::Renew => (Method::POST, "renew".to_owned()),
            LicenseAct::Revoke => (Method::POST, "revoke".to_owned()),
            LicenseAct::Lock(_) => (Method::PUT, "node".to_owned()),
            LicenseAct::Unlock => (Method::DELETE, "node".to_owned()),
            LicenseAct::Give(user) => (Method::PUT, format!("users/{user}")),
            LicenseAct::Take(user) => (Method::DELETE, format!("users/{user}")),
            LicenseAct::Allow(app) => (Method::PUT, format!("entitlements/{app}")),
            LicenseAct::Disallow(app) => (Method::DELETE, format!("entitlements/{app}")),
        };
        let path = format!("{ADMIN_LICENSES}/{id}/{rest}");
        let call = Call::new(method, &path, As::User);
        if let LicenseAct::Lock(node) = act {
            return self.json(call.with_json(&LockToNode { node: *node })?).await;
        }
        self.json(call).await
    }

    /// `DELETE /v1/admin/license-keys/current`: a new key signs licence files from now on.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn rotate_license_key(&mut self) -> Result<Vec<VerifyKey>, Error> {
        let call = Call::new(Method::DELETE, ADMIN_KEY, As::User);
        let keys: LicenseKeys = self.json(call).await?;
        published(&keys).map_err(|problem| Call::new(Method::DELETE, ADMIN_KEY, As::User).unreadable(problem))
    }
}
