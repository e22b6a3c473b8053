//! What programs and shells log in with: tokens, and public keys for SSH.

use super::{
    Refused,
    accounts::{AccountPath, own, prove_again},
    caller::{Caller, Json, Place, failed},
    text,
};
use crate::{
    access,
    http::{Api, problem::Problem},
    ssh_key::{fingerprint, parse_fingerprint, parse_public_key},
    store::{NewToken, SshKey, TokenEntry, TokenId, TokenKind},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use switchyard_protocol::Address;
use utoipa::{IntoParams, ToSchema};

/// The longest that a program's token may hold.
const LIFETIME_DAYS_MAX: u32 = 3_650;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A token, without what logs in.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct TokenView {
    /// Its number, by which it is revoked.
    #[schema(pattern = "^[0-9a-f]{16}$")]
    id: String,
    /// `session` of a log-in with a password, `access` of a program.
    kind: &'static str,
    /// What it is called.
    title: String,
    /// When it was made.
    created: u64,
    /// When it ends.
    expires: u64,
}

impl From<TokenEntry> for TokenView {
    fn from(token: TokenEntry) -> Self {
        TokenView {
            id: format!("{:016x}", token.id.0),
            kind: match token.kind {
                TokenKind::Session => "session",
                TokenKind::Access => "access",
            },
            title: token.title,
            created: token.created.0,
            expires: token.expires.0,
        }
    }
}

/// An account's tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    /// The latest first.
    items: Vec<TokenView>,
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename = "NewToken", deny_unknown_fields)]
#[schema(as = NewToken)]
pub(super) struct WantedToken {
    /// What it is for: 1 to 64 bytes without control characters.
    #[schema(min_length = 1, max_length = 64)]
    title: String,
    /// How long it holds.
    #[schema(minimum = 1, maximum = 3650)]
    lifetime_days: u32,
    /// Your present password: a log-in that was left open must not be enough.
    #[schema(format = "password")]
    current: Option<String>,
    /// With it, the code of the second factor, where there is one.
    code: Option<String>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeToken {
    /// What a program gives as `Authorization: Bearer …`. Told this once.
    token: String,
    /// When it ends.
    expires: u64,
}

/// One token.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct TokenPath {
    /// The account's name.
    name: String,
    /// The token's number, as it is listed.
    #[param(pattern = "^[0-9a-f]{16}$")]
    id: String,
}

/// An account's tokens. For itself, and for admins everywhere.
#[utoipa::path(get, path = "/api/accounts/{name}/tokens", tag = "accounts", operation_id = "list_tokens",
    params(AccountPath),
    responses((status = 200, body = Tokens, description = "All of them"), Refused))]
pub(super) async fn tokens(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<AccountPath>,
) -> Result<axum::Json<Tokens>, Problem> {
    let tokens = api.config.tokens(path.kept_by(&caller)?).await;
    let tokens = tokens.map_err(|error| failed(&api, &error))?;
    Ok(axum::Json(Tokens {
        items: tokens.into_iter().map(TokenView::from).collect(),
    }))
}

/// Makes a token for a program. For the account itself: what its token does, it has done.
#[utoipa::path(post, path = "/api/accounts/{name}/tokens", tag = "accounts", operation_id = "add_token",
    params(AccountPath), request_body = WantedToken,
    responses((status = 201, body = MadeToken, description = "It is made"), Refused))]
pub(super) async fn add_token(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<AccountPath>,
    Json(body): Json<WantedToken>,
) -> Result<(StatusCode, axum::Json<MadeToken>), Problem> {
    let account = own(&path, &caller)?;
    let title = text::title("title", &body.title)?;
    if !(1..=LIFETIME_DAYS_MAX).contains(&body.lifetime_days) {
        let expected = format!("lifetime_days: expected 1 to {LIFETIME_DAYS_MAX}");
        return Err(Problem::bad_request(&expected));
    }
    prove_again(&api, &caller, body.current, body.code).await?;
    let (token, now) = (access::new_token(), crate::clock::time());
    let expires = now.plus(DAY * body.lifetime_days);
    let text = format!(
        "make token {title} of account {account}, for {} days",
        body.lifetime_days
    );
    let new = NewToken {
        hash: access::token_hash(&token),
        account,
        kind: TokenKind::Access,
        title: title.to_string(),
        expires,
    };
    let by = Arc::clone(&api);
    let adding = async move {
        let added = by.config.add_token(new, now).await;
        added.map_err(|error| failed(&by, &error))
    };
    caller
        .change(&api, (Address::GATEWAY, text), adding)
        .await?;
    let made = MadeToken {
        token,
        expires: expires.0,
    };
    Ok((StatusCode::CREATED, axum::Json(made)))
}

/// Ends a token; its open sockets end within a second. For the account itself, and for admins everywhere.
#[utoipa::path(delete, path = "/api/accounts/{name}/tokens/{id}", tag = "accounts",
    operation_id = "revoke_token", params(TokenPath),
    responses((status = 204, description = "It has ended"), Refused))]
pub(super) async fn revoke_token(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(TokenPath { name, id }): Place<TokenPath>,
) -> Result<StatusCode, Problem> {
    let account = AccountPath::of(name).kept_by(&caller)?;
    let none = || Problem::not_found("the account has no token of this number");
    let id = token_id(&id).ok_or_else(none)?;
    let text = format!("end token {:016x} of account {account}", id.0);
    let by = Arc::clone(&api);
    let revoking = async move {
        let revoked = by.config.revoke_token_by_id(account, id).await;
        if !revoked.map_err(|error| failed(&by, &error))? {
            return Err(none());
        }
        by.yard.access_changed();
        Ok(StatusCode::NO_CONTENT)
    };
    caller
        .change(&api, (Address::GATEWAY, text), revoking)
        .await
}

/// A token's number, as it is listed.
pub(super) fn token_id(text: &str) -> Option<TokenId> {
    let is_one = text.len() == 16 && text.bytes().all(|it| it.is_ascii_hexdigit());
    let number = is_one.then(|| u64::from_str_radix(text, 16).ok())?;
    number.map(TokenId)
}

/// A public key for SSH.
#[derive(Serialize, ToSchema)]
#[schema(as = SshKey)]
pub(super) struct SshKeyView {
    /// As OpenSSH shows it.
    fingerprint: String,
    /// The comment behind the key.
    title: String,
    /// The key itself: type and base64.
    public_key: String,
    /// When it was added.
    created: u64,
}

impl From<SshKey> for SshKeyView {
    fn from(key: SshKey) -> Self {
        SshKeyView {
            fingerprint: fingerprint(&key.fingerprint),
            title: key.title.to_string(),
            public_key: key.public_key,
            created: key.created.0,
        }
    }
}

/// An account's keys for SSH.
#[derive(Serialize, ToSchema)]
pub(super) struct SshKeys {
    /// By their age.
    items: Vec<SshKeyView>,
}

/// A key to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSshKey {
    /// As it stands in `id_ed25519.pub`: type, base64, comment.
    #[schema(max_length = 1200)]
    public_key: String,
    /// Your present password, for a key of your own: a log-in that was left open must not be enough.
    #[schema(format = "password")]
    current: Option<String>,
    /// With it, the code of the second factor, where there is one.
    code: Option<String>,
}

/// One key.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Fingerprint {
    /// As it is listed.
    #[param(pattern = "^SHA256:[A-Za-z0-9+/]{43}$")]
    fingerprint: String,
}

#[cfg(any(test, feature = "fuzzing"))]
impl Fingerprint {
    /// What was asked for.
    pub(super) fn as_text(&self) -> &str {
        &self.fingerprint
    }
}

/// An account's keys for SSH. For itself, and for admins everywhere.
#[utoipa::path(get, path = "/api/accounts/{name}/ssh-keys", tag = "accounts",
    operation_id = "list_ssh_keys", params(AccountPath),
    responses((status = 200, body = SshKeys, description = "All of them"), Refused))]
pub(super) async fn ssh_keys(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<AccountPath>,
) -> Result<axum::Json<SshKeys>, Problem> {
    let keys = api.config.ssh_keys(path.kept_by(&caller)?).await;
    let keys = keys.map_err(|error| failed(&api, &error))?;
    Ok(axum::Json(SshKeys {
        items: keys.into_iter().map(SshKeyView::from).collect(),
    }))
}

/// Adds a public key by which the account comes in over SSH. For itself, and for admins everywhere.
#[utoipa::path(post, path = "/api/accounts/{name}/ssh-keys", tag = "accounts",
    operation_id = "add_ssh_key", params(AccountPath), request_body = NewSshKey,
    responses((status = 201, body = SshKeyView, description = "It is added"), Refused))]
pub(super) async fn add_ssh_key(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<AccountPath>,
    Json(body): Json<NewSshKey>,
) -> Result<(StatusCode, axum::Json<SshKeyView>), Problem> {
    let account = path.kept_by(&caller)?;
    let key = parse_public_key(&body.public_key, account.clone());
    let key = key.map_err(|error| text::bad_field(&format!("public_key: {error}")))?;
    if account == caller.login.account {
        prove_again(&api, &caller, body.current, body.code).await?;
    }
    let shown = fingerprint(&key.fingerprint);
    let text = format!("add SSH key {shown} of account {account}");
    let by = Arc::clone(&api);
    let adding = async move {
        let added = by.config.add_ssh_key(key.clone()).await;
        added.map_err(|error| failed(&by, &error))?;
        Ok(key)
    };
    let key = caller
        .change(&api, (Address::GATEWAY, text), adding)
        .await?;
    Ok((StatusCode::CREATED, axum::Json(key.into())))
}

/// Removes a key. For the account itself, and for admins everywhere.
#[utoipa::path(delete, path = "/api/accounts/{name}/ssh-keys", tag = "accounts",
    operation_id = "remove_ssh_key", params(AccountPath, Fingerprint),
    responses((status = 204, description = "It is removed"), Refused))]
pub(super) async fn remove_ssh_key(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<AccountPath>,
    super::caller::Parameters(wanted): super::caller::Parameters<Fingerprint>,
) -> Result<StatusCode, Problem> {
    let account = path.kept_by(&caller)?;
    let found = parse_fingerprint(&wanted.fingerprint);
    let found = found.map_err(|expected| text::bad_field(&format!("fingerprint: {expected}")))?;
    let text = format!(
        "remove SSH key {} of account {account}",
        fingerprint(&found)
    );
    let by = Arc::clone(&api);
    let removing = async move {
        let removed = by.config.remove_ssh_key(account, found).await;
        let none = || Problem::not_found("the account has no such key");
        let removed = removed.map_err(|error| failed(&by, &error))?;
        removed.then_some(StatusCode::NO_CONTENT).ok_or_else(none)
    };
    caller
        .change(&api, (Address::GATEWAY, text), removing)
        .await
}
