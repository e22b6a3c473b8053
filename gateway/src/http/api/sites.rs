//! Sites: groups of controllers, at which accounts have roles.

use super::{
    Refused,
    caller::{Caller, Json, Place, failed},
    rights::Deed,
    text,
};
use crate::{
    cli::SITES_MAX,
    http::{Api, problem::Problem},
    store::Site,
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use switchyard_protocol::Address;
use utoipa::{IntoParams, ToSchema};

/// A group of controllers.
#[derive(Serialize, ToSchema)]
#[schema(as = Site)]
pub(super) struct SiteView {
    /// Its number, 1 and up; never given twice.
    #[schema(minimum = 1, maximum = 4_294_967_295u32)]
    site: u32,
    /// What people call it; unique.
    name: String,
    /// When it was made.
    created: u64,
}

impl From<Site> for SiteView {
    fn from(site: Site) -> Self {
        SiteView {
            site: site.id.0,
            name: site.name.to_string(),
            created: site.created.0,
        }
    }
}

/// The sites that one may see.
#[derive(Serialize, ToSchema)]
pub(super) struct Sites {
    /// By number.
    items: Vec<SiteView>,
}

/// What a site is called.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteName {
    /// 1 to 64 bytes without control characters.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
}

/// One site.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct SitePath {
    /// The site's number.
    #[param(minimum = 1, maximum = 4_294_967_295u32)]
    site: u32,
}

/// The sites at which you have a role.
#[utoipa::path(get, path = "/api/sites", tag = "sites", operation_id = "list_sites",
    responses((status = 200, body = Sites, description = "The sites that you may see"), Refused))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<axum::Json<Sites>, Problem> {
    let sites = api.config.sites().await;
    let sites = sites.map_err(|error| failed(&api, &error))?.into_iter();
    let seen = sites.filter(|site| caller.may(&Deed::SeeSite(site.id)).is_ok());
    Ok(axum::Json(Sites {
        items: seen.map(SiteView::from).collect(),
    }))
}

/// Makes a site. For admins everywhere.
#[utoipa::path(post, path = "/api/sites", tag = "sites", operation_id = "add_site",
    request_body = SiteName,
    responses((status = 201, body = SiteView, description = "The site is made"), Refused))]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<SiteName>,
) -> Result<(StatusCode, axum::Json<SiteView>), Problem> {
    caller.may(&Deed::ManageSites)?;
    let (name, now) = (text::title("name", &body.name)?, crate::clock::time());
    let what = (Address::GATEWAY, format!("make site {name}"));
    let by = Arc::clone(&api);
    let adding = async move {
        let added = by.config.add_site(name.clone(), SITES_MAX, now).await;
        Ok(Site {
            label: None,
            id: added.map_err(|error| failed(&by, &error))?,
            name,
            created: now,
        })
    };
    let site = caller.change(&api, what, adding).await?;
    Ok((StatusCode::CREATED, axum::Json(site.into())))
}

/// Gives a site another name. For admins everywhere.
#[utoipa::path(put, path = "/api/sites/{site}", tag = "sites", operation_id = "rename_site",
    params(SitePath), request_body = SiteName,
    responses((status = 204, description = "It has that name now"), Refused))]
pub(super) async fn rename(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<SitePath>,
    Json(body): Json<SiteName>,
) -> Result<StatusCode, Problem> {
    caller.may(&Deed::ManageSites)?;
    let (site, name) = (text::site(path.site)?, text::title("name", &body.name)?);
    let what = (Address::GATEWAY, format!("rename site {site} to {name}"));
    let by = Arc::clone(&api);
    let renaming = async move {
        let renamed = by.config.rename_site(site, name).await;
        known(renamed.map_err(|error| failed(&by, &error))?)
    };
    caller.change(&api, what, renaming).await
}

/// Removes a site that no controller belongs to, and all roles there. For admins everywhere.
#[utoipa::path(delete, path = "/api/sites/{site}", tag = "sites", operation_id = "remove_site",
    params(SitePath),
    responses((status = 204, description = "It is removed"), Refused))]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<SitePath>,
) -> Result<StatusCode, Problem> {
    caller.may(&Deed::ManageSites)?;
    let site = text::site(path.site)?;
    let what = (Address::GATEWAY, format!("remove site {site}"));
    let by = Arc::clone(&api);
    let removing = async move {
        let removed = by.config.remove_site(site).await;
        let removed = known(removed.map_err(|error| failed(&by, &error))?)?;
        by.yard.access_changed();
        Ok(removed)
    };
    caller.change(&api, what, removing).await
}

fn known(found: bool) -> Result<StatusCode, Problem> {
    let none = || Problem::not_found("there is no site of this number");
    found.then_some(StatusCode::NO_CONTENT).ok_or_else(none)
}
