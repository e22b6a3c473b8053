//! Accounts: who there is, what each may do, and how they prove who they are.

use super::{
    Refused,
    caller::{Caller, Json, Place, failed},
    rights::Deed,
    text::{self, RoleName},
};
use crate::{
    config::Secret,
    http::{Api, login, problem::Problem},
    store::{Account, StoreError},
    totp,
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use switchyard_protocol::{Address, Code, Role, limits, message::Title};
use switchyard_relay::Rights;
use utoipa::{IntoParams, ToSchema};

/// What an account may do, and where.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rights)]
pub(super) struct RightsView {
    /// At every site there is or will be, and at controllers in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    everywhere: Option<RoleName>,
    /// At single sites; the better of both counts.
    #[serde(default)]
    #[schema(max_items = 1024)]
    sites: Vec<SiteRole>,
}

/// A role at one site.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteRole {
    /// The site's number.
    #[schema(minimum = 1, maximum = 4_294_967_295u32)]
    site: u32,
    /// The role there.
    role: RoleName,
}

impl From<&Rights> for RightsView {
    fn from(rights: &Rights) -> Self {
        let sites = rights.roles().map(|(site, role)| SiteRole {
            site: site.0,
            role: role.into(),
        });
        RightsView {
            everywhere: rights.role_at(None).map(RoleName::from),
            sites: sites.collect(),
        }
    }
}

impl RightsView {
    /// The rights, of sites that there are.
    async fn read(self, api: &Api) -> Result<Rights, Problem> {
        let max = limits::SITES_PER_ACCOUNT_MAX;
        if self.sites.len() > max {
            let expected = format!("sites: expected roles at {max} sites at most");
            return Err(Problem::bad_request(&expected));
        }
        let mut roles = Vec::new();
        for SiteRole { site, role } in self.sites {
            roles.push((text::site(site)?, Role::from(role)));
        }
        if !roles.is_empty() {
            let known = api.config.sites().await;
            let known = known.map_err(|error| failed(api, &error))?;
            for (site, _) in &roles {
                if !known.iter().any(|known| known.id == *site) {
                    let detail = format!("there is no site {site}");
                    return Err(Problem::conflict("missing", &detail));
                }
            }
        }
        Ok(Rights::new(self.everywhere.map(Role::from), roles))
    }
}

/// Whose log-in this is.
#[derive(Serialize, ToSchema)]
pub(super) struct Who {
    /// The account.
    account: String,
    /// What it may do.
    rights: RightsView,
    /// When the log-in ends.
    expires: u64,
    /// Gateway time now.
    time: u64,
}

/// Whose log-in this is, and what it may do.
#[utoipa::path(get, path = "/api/who", tag = "session", operation_id = "who",
    responses((status = 200, body = Who, description = "You"), Refused))]
pub(super) async fn who(caller: Caller) -> axum::Json<Who> {
    axum::Json(Who {
        account: caller.login.account.to_string(),
        rights: (&caller.login.rights).into(),
        expires: caller.login.expires.0,
        time: crate::clock::time().0,
    })
}

/// Somebody who may log in.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub(super) struct AccountView {
    /// The name; unique.
    name: String,
    /// What it may do.
    rights: RightsView,
    /// Whether it is asked for a code.
    second_factor: bool,
    /// When it was made.
    created: u64,
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        AccountView {
            name: account.name.to_string(),
            rights: (&account.rights).into(),
            second_factor: account.totp.is_some(),
            created: account.created.0,
        }
    }
}

/// All accounts.
#[derive(Serialize, ToSchema)]
pub(super) struct Accounts {
    /// By name.
    items: Vec<AccountView>,
}

/// One account.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct AccountPath {
    /// The account's name.
    name: String,
}

impl AccountPath {
    /// Of an account by its name.
    pub(super) fn of(name: String) -> Self {
        AccountPath { name }
    }

    /// The name of an account that the caller may look after.
    pub(super) fn kept_by(&self, caller: &Caller) -> Result<Title, Problem> {
        // A name that no account can have is nobody's, whoever asks.
        let name = Title::new(&self.name).map_err(|_| nobody())?;
        caller.may(&Deed::Keep(&name))?;
        Ok(name)
    }
}

fn nobody() -> Problem {
    Problem::not_found("there is no account of this name")
}

/// Nothing where something was done, else that there is no such account.
pub(super) fn known(found: bool) -> Result<StatusCode, Problem> {
    found.then_some(StatusCode::NO_CONTENT).ok_or_else(nobody)
}

/// Every account. For admins everywhere.
#[utoipa::path(get, path = "/api/accounts", tag = "accounts", operation_id = "list_accounts",
    responses((status = 200, body = Accounts, description = "All of them"), Refused))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<axum::Json<Accounts>, Problem> {
    caller.may(&Deed::ManageAccounts)?;
    let accounts = api.config.accounts().await;
    let accounts = accounts.map_err(|error| failed(&api, &error))?;
    let items = accounts.into_iter().map(AccountView::from).collect();
    Ok(axum::Json(Accounts { items }))
}

/// An account to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccount {
    /// 1 to 64 bytes without control characters.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// 10 to 1,024 bytes.
    #[schema(min_length = 10, max_length = 1024, format = "password")]
    password: String,
    /// What it may do.
    rights: RightsView,
}

/// Makes an account. For admins everywhere.
#[utoipa::path(post, path = "/api/accounts", tag = "accounts", operation_id = "add_account",
    request_body = NewAccount,
    responses((status = 201, body = AccountView, description = "It is made"), Refused))]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<NewAccount>,
) -> Result<(StatusCode, axum::Json<AccountView>), Problem> {
    caller.may(&Deed::ManageAccounts)?;
    let name = text::title("name", &body.name)?;
    let rights = body.rights.read(&api).await?;
    let account = Account {
        name,
        rights,
        password_hash: login::hash(&api, Secret(body.password)).await?,
        totp: None,
        created: crate::clock::time(),
    };
    let text = format!("make account {}, {}", account.name, account.rights);
    let by = Arc::clone(&api);
    let adding = async move {
        let added = by.config.add_account(account.clone()).await;
        added.map_err(|error| failed(&by, &error))?;
        Ok(account)
    };
    let account = caller
        .change(&api, (Address::GATEWAY, text), adding)
        .await?;
    Ok((StatusCode::CREATED, axum::Json(account.into())))
}

/// One account. For itself, and for admins everywhere.
#[utoipa::path(get, path = "/api/accounts/{name}", tag = "accounts", operation_id = "show_account",
    params(AccountPath),
    responses((status = 200, body = AccountView, description = "The account"), Refused))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<AccountPath>,
) -> Result<axum::Json<AccountView>, Problem> {
    let name = path.kept_by(&caller)?;
    let account = api.config.account(name).await;
    let account = account.map_err(|error| failed(&api, &error))?;
    Ok(axum::Json(account.ok_or_else(nobody)?.into()))
}

/// Removes an account and ends its log-ins. For admins everywhere; the last one of them stays.
#[utoipa::path(delete, path = "/api/accounts/{name}", tag = "accounts", operation_id = "remove_account",
    params(AccountPath),
    responses((status = 204, description = "It is removed"), Refused))]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<AccountPath>,
) -> Result<StatusCode, Problem> {
    caller.may(&Deed::ManageAccounts)?;
    let name = path.kept_by(&caller)?;
    let text = format!("remove account {name}");
    let by = Arc::clone(&api);
    let removing = async move {
        let removed = by.config.remove_account_but_last_admin(name).await;
        access_changes(&by, removed)
    };
    caller
        .change(&api, (Address::GATEWAY, text), removing)
        .await
}

/// Has open sockets follow, once something of an account was changed.
fn access_changes(api: &Api, changed: Result<bool, StoreError>) -> Result<StatusCode, Problem> {
    let done = known(changed.map_err(|error| failed(api, &error))?)?;
    api.yard.access_changed();
    Ok(done)
}

/// Changes what an account may do; its open sockets follow within a second. For admins everywhere; the last
/// one of them stays one.
#[utoipa::path(put, path = "/api/accounts/{name}/rights", tag = "accounts", operation_id = "set_rights",
    params(AccountPath), request_body = RightsView,
    responses((status = 204, description = "It may do that now"), Refused))]
pub(super) async fn set_rights(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<AccountPath>,
    Json(body): Json<RightsView>,
) -> Result<StatusCode, Problem> {
    caller.may(&Deed::ManageAccounts)?;
    let name = path.kept_by(&caller)?;
    let rights = body.read(&api).await?;
    let text = format!("make account {name} {rights}");
    let by = Arc::clone(&api);
    let changing = async move {
        let changed = by.config.set_rights_but_of_last_admin(name, rights).await;
        access_changes(&by, changed)
    };
    caller
        .change(&api, (Address::GATEWAY, text), changing)
        .await
}

/// Another password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    /// 10 to 1,024 bytes.
    #[schema(min_length = 10, max_length = 1024, format = "password")]
    password: String,
    /// The present one: whoever changes their own proves it once more.
    #[schema(format = "password")]
    current: Option<String>,
    /// With it, the code of the second factor, where there is one.
    code: Option<String>,
}

/// Changes an account's password; all its log-ins end, this one too if it is yours. For itself with the
/// present one, and for admins everywhere.
#[utoipa::path(put, path = "/api/accounts/{name}/password", tag = "accounts", operation_id = "set_password",
    params(AccountPath), request_body = NewPassword,
    responses((status = 204, description = "It has that password now"), Refused))]
pub(super) async fn set_password(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<AccountPath>,
    Json(body): Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    let name = path.kept_by(&caller)?;
    if name == caller.login.account {
        prove_again(&api, &caller, body.current, body.code).await?;
    }
    let hash = login::hash(&api, Secret(body.password)).await?;
    let text = format!("change the password of account {name}");
    let by = Arc::clone(&api);
    let changing = async move {
        let changed = by.config.set_password(name, hash).await;
        access_changes(&by, changed)
    };
    caller
        .change(&api, (Address::GATEWAY, text), changing)
        .await
}

/// Has somebody prove who they are once more: a log-in that was left open must not be enough to take an
/// account over.
pub(super) async fn prove_again(
    api: &Arc<Api>,
    caller: &Caller,
    password: Option<String>,
    code: Option<String>,
) -> Result<(), Problem> {
    let expected = "current: expected your present password";
    let password = password.ok_or_else(|| text::bad_field(expected))?;
    let account = caller.login.account.as_str();
    login::prove(Arc::clone(api), account, password, code, caller.ip).await
}

/// A second factor to be taken over by an app.
#[derive(Serialize, ToSchema)]
pub(super) struct OfferedFactor {
    /// What the app reads, as a picture or by hand. Secret, and told this once.
    url: String,
    /// What to give back with a code that the app shows. Secret.
    #[schema(pattern = "^[0-9a-f]{40}$")]
    secret: String,
}

/// A second factor that an app has.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFactor {
    /// As it was offered.
    #[schema(pattern = "^[0-9a-f]{40}$")]
    secret: String,
    /// What the app shows for it now.
    code: String,
    /// Your present password.
    #[schema(format = "password")]
    current: String,
    /// The code of the factor that there is already, where there is one.
    current_code: Option<String>,
}

/// Offers a second factor for your own account; nothing is asked for before it is set.
#[utoipa::path(post, path = "/api/accounts/{name}/second-factor", tag = "accounts",
    operation_id = "offer_second_factor", params(AccountPath),
    responses((status = 200, body = OfferedFactor, description = "For an app to take over"), Refused))]
pub(super) async fn offer_factor(
    caller: Caller,
    Place(path): Place<AccountPath>,
) -> Result<axum::Json<OfferedFactor>, Problem> {
    let name = own(&path, &caller)?;
    let secret = totp::new_secret();
    Ok(axum::Json(OfferedFactor {
        url: totp::url(&name, &secret),
        secret: crate::hex::encode(&secret),
    }))
}

/// Sets the second factor of your own account, once its app shows the right code.
#[utoipa::path(put, path = "/api/accounts/{name}/second-factor", tag = "accounts",
    operation_id = "set_second_factor", params(AccountPath), request_body = NewFactor,
    responses((status = 204, description = "Log-ins want a code now"), Refused))]
pub(super) async fn set_factor(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<AccountPath>,
    Json(body): Json<NewFactor>,
) -> Result<StatusCode, Problem> {
    let name = own(&path, &caller)?;
    let secret = crate::hex::decode(&body.secret);
    let secret = secret.filter(|secret| secret.len() == totp::SECRET_BYTES);
    let expected = "secret: expected the one that was offered";
    let secret = secret.ok_or_else(|| text::bad_field(expected))?;
    prove_again(&api, &caller, Some(body.current), body.current_code).await?;
    let now = crate::clock::time();
    let step = totp::step_of(&secret, &body.code, now).ok_or_else(|| {
        let expected = "code: expected the six digits that the app shows for this secret now";
        text::bad_field(expected)
    })?;
    let text = format!("set the second factor of account {name}");
    let by = Arc::clone(&api);
    let setting = async move {
        let set = by.config.set_totp(name.clone(), Some(secret)).await;
        let set = set.map_err(|error| failed(&by, &error))?;
        // Somebody may have looked over the shoulder at this code: it opens nothing.
        let used = by.config.use_totp_step(name, step).await;
        used.map_err(|error| failed(&by, &error))?;
        known(set)
    };
    caller.change(&api, (Address::GATEWAY, text), setting).await
}

/// Takes another account's second factor away, as when a telephone is lost. For admins everywhere.
#[utoipa::path(delete, path = "/api/accounts/{name}/second-factor", tag = "accounts",
    operation_id = "remove_second_factor", params(AccountPath),
    responses((status = 204, description = "Log-ins want no code any more"), Refused))]
pub(super) async fn remove_factor(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<AccountPath>,
) -> Result<StatusCode, Problem> {
    caller.may(&Deed::ManageAccounts)?;
    let name = path.kept_by(&caller)?;
    if name == caller.login.account {
        let detail = "another admin takes it away, or the gateway's own command";
        return Err(Problem::of(Code::Forbidden, detail));
    }
    let text = format!("take the second factor of account {name} away");
    let by = Arc::clone(&api);
    let removing = async move {
        let removed = by.config.set_totp(name, None).await;
        known(removed.map_err(|error| failed(&by, &error))?)
    };
    caller
        .change(&api, (Address::GATEWAY, text), removing)
        .await
}

/// The caller's own name, and no other: what this makes is in its owner's hand.
pub(super) fn own(path: &AccountPath, caller: &Caller) -> Result<Title, Problem> {
    let name = path.kept_by(caller)?;
    if name != caller.login.account {
        let detail = "this is made by the account itself";
        return Err(Problem::of(Code::Forbidden, detail));
    }
    Ok(name)
}
