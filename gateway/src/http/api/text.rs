//! What the API's texts and numbers are read as, and how a refusal says what was expected.

use crate::{http::problem::Problem, store::NOTE_BYTES_MAX};
use serde::{Deserialize, Serialize};
use switchyard_protocol::{
    Address, Code, Role, SiteId, limits,
    message::{Key, Name, Title},
};
use utoipa::ToSchema;

/// A role's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Role)]
pub(super) enum RoleName {
    /// Sees.
    Viewer,
    /// Also gives commands.
    Operator,
    /// Also changes what is inside of controllers.
    Technician,
    /// Also keeps accounts and sites.
    Admin,
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => RoleName::Viewer,
            Role::Operator => RoleName::Operator,
            Role::Technician => RoleName::Technician,
            Role::Admin => RoleName::Admin,
        }
    }
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Viewer => Role::Viewer,
            RoleName::Operator => Role::Operator,
            RoleName::Technician => Role::Technician,
            RoleName::Admin => Role::Admin,
        }
    }
}

/// What a field holds that is of the right shape, and still cannot be.
pub(super) fn bad_field(expected: &str) -> Problem {
    Problem::of(Code::BadField, expected)
}

/// A line that people write beside something in the library.
///
/// # Errors
/// Says what was expected.
pub(super) fn note(given: String) -> Result<String, Problem> {
    if given.len() > NOTE_BYTES_MAX || given.chars().any(char::is_control) {
        let expected =
            format!("note: expected at most {NOTE_BYTES_MAX} bytes without control characters");
        return Err(bad_field(&expected));
    }
    Ok(given)
}

/// Who it was, to people. What is the gateway's own begins with a space, so that nobody's account is called so.
pub(super) fn by(account: &Title) -> String {
    account.as_str().trim_start().to_owned()
}

/// How many a page is to have.
///
/// # Errors
/// Says what was expected.
pub(super) fn limit(given: Option<u32>, (default, max): (u32, u32)) -> Result<u32, Problem> {
    let limit = given.unwrap_or(default);
    let expected = || Problem::bad_request(&format!("limit: expected 1 to {max}"));
    (1..=max)
        .contains(&limit)
        .then_some(limit)
        .ok_or_else(expected)
}

/// What people call something.
///
/// # Errors
/// Says what was expected.
pub(super) fn title(field: &str, text: &str) -> Result<Title, Problem> {
    let title = Title::new(text).ok();
    title
        .filter(|title| title.as_str().trim() == title.as_str())
        .ok_or_else(|| {
            bad_field(&format!(
                "{field}: expected 1 to 64 bytes without control characters, and no white space around them"
            ))
        })
}

/// The name of a point, parameter or command.
///
/// # Errors
/// Says what was expected.
pub(super) fn name(field: &str, text: &str) -> Result<Name, Problem> {
    Name::new(text).map_err(|_| {
        bad_field(&format!(
            "{field}: expected a name of 1 to 24 letters, digits and _, not beginning with a digit"
        ))
    })
}

/// A value of a point, parameter or argument.
///
/// # Errors
/// Says what was expected.
pub(super) fn value(field: &str, value: i64) -> Result<i64, Problem> {
    let max = limits::INTEGER_MAX;
    let is_in_range = (-max..=max).contains(&value);
    is_in_range
        .then_some(value)
        .ok_or_else(|| bad_field(&format!("{field}: expected a whole number within ±{max}")))
}

/// A command's key.
///
/// # Errors
/// Says what was expected.
pub(super) fn key(text: &str) -> Result<Key, Problem> {
    let bytes = crate::hex::decode(text).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    bytes.map(Key).ok_or_else(|| {
        bad_field("key: expected 32 hexadecimal digits, random and new for each command")
    })
}

/// A site by its number.
///
/// # Errors
/// Says what was expected.
pub(super) fn site(number: u32) -> Result<SiteId, Problem> {
    match number {
        0 => Err(bad_field("site: expected a site's number, 1 and up")),
        number => Ok(SiteId(number)),
    }
}

/// A controller's address.
///
/// # Errors
/// As for one that nobody has.
pub(super) fn controller(number: u32) -> Result<Address, Problem> {
    let address = Address(number);
    let is_one = address.is_controller();
    is_one
        .then_some(address)
        .ok_or_else(|| Problem::from(Code::UnknownAddress))
}
