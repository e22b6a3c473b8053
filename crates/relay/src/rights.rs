//! What an account may do: a role everywhere, roles at single sites, or both.

use std::{fmt, sync::Arc};
use switchyard_protocol::{Role, SiteId, limits};

/// An account's rights. Cloning shares the sites, of which many sessions of one account hold the
/// same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    everywhere: Option<Role>,
    /// `None` for most accounts, which have a role everywhere.
    sites: Option<Arc<Sites>>,
}

/// In words: `admin`, or `operator at 3, viewer at 7`.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.highest().is_none() {
            return f.write_str("none");
        }
        let mut separator = "";
        if let Some(role) = self.everywhere {
            f.write_str(role.name())?;
            separator = ", ";
        }
        for (site, role) in self.roles() {
            write!(f, "{separator}{} at {site}", role.name())?;
            separator = ", ";
        }
        Ok(())
    }
}

/// Roles at single sites; at least one.
#[derive(Debug, PartialEq, Eq)]
struct Sites {
    highest: Role,
    /// Ascending by site, each once.
    roles: Box<[(SiteId, Role)]>,
}

impl Rights {
    /// One role everywhere: at every site there is or will be, and at controllers in no site.
    pub const fn everywhere(role: Role) -> Self {
        Rights {
            everywhere: Some(role),
            sites: None,
        }
    }

    /// A role everywhere, or none, and roles at single sites, in any order. The best role counts
    /// where a site comes twice. There are at most [`limits::SITES_PER_ACCOUNT_MAX`] sites: those of
    /// higher numbers give no right, so whoever keeps accounts should not let more in.
    pub fn new(everywhere: Option<Role>, sites: impl IntoIterator<Item = (SiteId, Role)>) -> Self {
        let mut roles: Vec<_> = sites.into_iter().collect();
        // Of one site the best comes first, and stays.
        roles.sort_unstable_by_key(|&(site, role)| (site, std::cmp::Reverse(role)));
        roles.dedup_by_key(|&mut (site, _)| site);
        roles.truncate(limits::SITES_PER_ACCOUNT_MAX);
        let highest = roles.iter().map(|&(_, role)| role).max();
        Rights {
            everywhere,
            sites: highest.map(|highest| {
                let roles = roles.into_boxed_slice();
                Arc::new(Sites { highest, roles })
            }),
        }
    }

    /// The role at a site, or (`None`) where there is no site: the better of the one everywhere and
    /// the one there.
    #[inline]
    pub fn role_at(&self, site: Option<SiteId>) -> Option<Role> {
        match &self.sites {
            // Nearly every account that there is.
            None => self.everywhere,
            Some(sites) => self.everywhere.max(sites.role_at(site)),
        }
    }

    /// The best role anywhere.
    #[inline]
    pub fn highest(&self) -> Option<Role> {
        let there = self.sites.as_ref().map(|sites| sites.highest);
        self.everywhere.max(there)
    }

    /// Whether anything of a site may be seen.
    #[inline]
    pub(crate) fn sees(&self, site: Option<SiteId>) -> bool {
        self.sees_all() || self.role_at(site).is_some()
    }

    /// Whether everything may be seen.
    #[inline]
    pub(crate) const fn sees_all(&self) -> bool {
        self.everywhere.is_some()
    }

    /// Whether the same may be seen, whatever may be done with it.
    pub(crate) fn sees_as(&self, other: &Self) -> bool {
        match (self.sees_all(), other.sees_all()) {
            (true, true) => true,
            (false, false) => self.sites().eq(other.sites()),
            _ => false,
        }
    }

    /// The sites at which there is a role of their own, ascending.
    pub(crate) fn sites(&self) -> impl Iterator<Item = SiteId> + '_ {
        let roles = self.sites.iter().flat_map(|sites| &sites.roles);
        roles.map(|&(site, _)| site)
    }

    /// The roles at single sites, ascending by site.
    pub fn roles(&self) -> impl Iterator<Item = (SiteId, Role)> + '_ {
        let roles = self.sites.iter().flat_map(|sites| &sites.roles);
        roles.copied()
    }

    /// Whether there is a site at which both have a role.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        match (self.sees_all(), other.sees_all()) {
            (true, _) => other.highest().is_some(),
            (_, true) => self.highest().is_some(),
            _ => {
                // Side by side, so that two long lists without a common site are one walk.
                let mut theirs = other.sites().peekable();
                self.sites().any(|site| {
                    while theirs.next_if(|&their| their < site).is_some() {}
                    theirs.peek() == Some(&site)
                })
            }
        }
    }
}

impl Sites {
    fn role_at(&self, site: Option<SiteId>) -> Option<Role> {
        let site = site?;
        let at = self.roles.binary_search_by_key(&site, |&(site, _)| site);
        at.ok().map(|at| self.roles[at].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(number: u32) -> SiteId {
        SiteId(number)
    }

    #[test]
    fn the_better_role_counts() {
        let all = [
            None,
            Some(Role::Viewer),
            Some(Role::Operator),
            Some(Role::Admin),
        ];
        for everywhere in all {
            for (three, seven) in all.into_iter().flat_map(|it| all.map(|other| (it, other))) {
                let sites = [(7, seven), (3, three)];
                let sites = sites.into_iter();
                let sites = sites.filter_map(|(number, role)| role.map(|it| (site(number), it)));
                let rights = Rights::new(everywhere, sites);
                for (place, there) in [
                    (None, None),
                    (Some(site(3)), three),
                    (Some(site(5)), None),
                    (Some(site(7)), seven),
                ] {
                    let expected = everywhere.max(there);
                    assert_eq!(rights.role_at(place), expected, "{rights:?} at {place:?}");
                    assert_eq!(rights.sees(place), expected.is_some());
                }
                assert_eq!(rights.highest(), everywhere.max(three).max(seven));
            }
        }
        assert_eq!(
            Rights::everywhere(Role::Viewer),
            Rights::new(Some(Role::Viewer), [])
        );
        assert_eq!(Rights::default().highest(), None);
    }

    #[test]
    fn a_site_named_twice_counts_once_and_there_are_only_so_many() {
        let twice = [
            (site(2), Role::Viewer),
            (site(2), Role::Technician),
            (site(2), Role::Operator),
        ];
        let rights = Rights::new(None, twice);
        assert_eq!(rights.role_at(Some(site(2))), Some(Role::Technician));
        assert!(rights.sites().eq([site(2)]));
        let many = (1..=1_025).rev().map(|number| (site(number), Role::Viewer));
        let rights = Rights::new(None, many);
        assert_eq!(rights.sites().count(), limits::SITES_PER_ACCOUNT_MAX);
        assert!(rights.sees(Some(site(1_024))) && !rights.sees(Some(site(1_025))));
    }

    #[test]
    fn accounts_meet_at_a_site_at_which_both_have_a_role() {
        let at = |numbers: &[u32]| {
            let sites = numbers.iter().map(|&number| (site(number), Role::Viewer));
            Rights::new(None, sites)
        };
        let everywhere = Rights::everywhere(Role::Viewer);
        for (one, other, expected) in [
            (at(&[1, 2, 3]), at(&[3, 4]), true),
            (at(&[1, 2, 3]), at(&[4, 5, 6, 7]), false),
            (at(&[1]), everywhere.clone(), true),
            (everywhere.clone(), everywhere.clone(), true),
            (at(&[]), everywhere, false),
            (at(&[]), at(&[]), false),
        ] {
            assert_eq!(one.meets(&other), expected, "{one:?} and {other:?}");
            assert_eq!(other.meets(&one), expected, "{other:?} and {one:?}");
        }
    }

    #[test]
    fn rights_over_the_same_places_see_alike() {
        let at = |everywhere, numbers: &[(u32, Role)]| {
            let sites = numbers.iter().map(|&(number, role)| (site(number), role));
            Rights::new(everywhere, sites)
        };
        let (viewer, admin) = (Role::Viewer, Role::Admin);
        assert!(at(None, &[(1, viewer)]).sees_as(&at(None, &[(1, admin)])));
        assert!(at(Some(viewer), &[(1, admin)]).sees_as(&at(Some(admin), &[])));
        assert!(!at(None, &[(1, viewer)]).sees_as(&at(None, &[(2, viewer)])));
        assert!(!at(None, &[(1, viewer)]).sees_as(&at(Some(viewer), &[(1, viewer)])));
    }
}
