//! Who may do what over HTTP that the relay does not judge: all that is written to the config store.
//!
//! What goes over the yard (values, commands, forces, scripts, enrolling) is judged by the relay on every
//! frame (`docs/protocol.md` §5.1), and by nobody else. The command line is not judged at all: whoever may
//! run it can read the database.

use switchyard_protocol::{Code, Role, SiteId, message::Title};
use switchyard_relay::Rights;

/// Something that somebody wants to do.
#[derive(Clone, Debug)]
pub(super) enum Deed<'a> {
    /// See a site's name.
    SeeSite(SiteId),
    /// Make, rename or remove sites.
    ManageSites,
    /// See a controller of this site, or of none.
    SeeController(Option<SiteId>),
    /// Change what a controller is called, its tags, or its site.
    EditController {
        /// Where it is.
        at: Option<SiteId>,
        /// Where it is to go, if it is to move.
        to: Option<Option<SiteId>>,
    },
    /// Take back an enrolment of which one has the key.
    Unenrol(Option<SiteId>),
    /// Withdraw a controller for ever, or replace its key.
    AdministerController(Option<SiteId>),
    /// Read who did what.
    ReadAudit,
    /// See the scripts of the library.
    SeeLibrary,
    /// Add a script to it: it runs nowhere until somebody rolls it out, who has to be trusted there.
    AddToLibrary,
    /// Add a firmware: its name is then taken, for boards at every site.
    AddFirmware,
    /// Remove a script with all its versions, or a firmware.
    RemoveFromLibrary,
    /// Roll something out to the controllers of this site, or of none, or want something of such a roll-out.
    RollOut(Option<SiteId>),
    /// See the alarms of this site, or of none.
    SeeAlarms(Option<SiteId>),
    /// Acknowledge, shelve, comment them.
    HandleAlarms(Option<SiteId>),
    /// Say who is told of them, and what raises them.
    PlanAlarms(Option<SiteId>),
    /// See who may be told of alarms, with numbers and addresses.
    SeeContacts,
    /// Change them.
    EditContacts,
    /// See, make, change or remove accounts, and what they may do.
    ManageAccounts,
    /// See or change how an account logs in: password, second factor, tokens, keys.
    Keep(&'a Title),
}

/// Judges a deed of an account.
///
/// # Errors
/// [`Code::UnknownAddress`] for what the account may not know to exist, else [`Code::Forbidden`].
pub(super) fn judge(account: &Title, rights: &Rights, deed: &Deed<'_>) -> Result<(), Code> {
    let everywhere = rights.role_at(None);
    let at_least = |role: Option<Role>, wanted: Role| match role {
        None => Err(Code::UnknownAddress),
        Some(role) if role < wanted => Err(Code::Forbidden),
        Some(_) => Ok(()),
    };
    let anywhere = |wanted: Role| match rights.highest() {
        Some(role) if role >= wanted => Ok(()),
        _ => Err(Code::Forbidden),
    };
    let admin_everywhere = || match everywhere {
        Some(Role::Admin) => Ok(()),
        _ => Err(Code::Forbidden),
    };
    match deed {
        Deed::SeeSite(site) => at_least(rights.role_at(Some(*site)), Role::Viewer),
        Deed::SeeController(site) | Deed::SeeAlarms(site) => {
            at_least(rights.role_at(*site), Role::Viewer)
        }
        Deed::EditController { at, to } => {
            at_least(rights.role_at(*at), Role::Technician)?;
            match to {
                // It goes out of one's hands there, or into them: one has to be trusted at both ends.
                Some(to) if rights.role_at(*to) < Some(Role::Technician) => Err(Code::Forbidden),
                _ => Ok(()),
            }
        }
        Deed::AdministerController(site) => at_least(rights.role_at(*site), Role::Admin),
        Deed::HandleAlarms(site) => at_least(rights.role_at(*site), Role::Operator),
        Deed::Unenrol(site) | Deed::RollOut(site) | Deed::PlanAlarms(site) => {
            at_least(rights.role_at(*site), Role::Technician)
        }
        Deed::SeeLibrary => anywhere(Role::Viewer),
        Deed::AddToLibrary | Deed::SeeContacts => anywhere(Role::Technician),
        Deed::AddFirmware | Deed::EditContacts if everywhere >= Some(Role::Technician) => Ok(()),
        Deed::AddFirmware | Deed::EditContacts => Err(Code::Forbidden),
        Deed::ManageSites | Deed::ReadAudit | Deed::ManageAccounts | Deed::RemoveFromLibrary => {
            admin_everywhere()
        }
        Deed::Keep(whose) if *whose == account => Ok(()),
        Deed::Keep(_) => admin_everywhere(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_do_what() {
        let title = |text: &str| Title::new(text).unwrap();
        let (own, other) = (title("li"), title("bo"));
        let (here, there) = (SiteId(1), SiteId(2));
        let at = |role| Rights::new(None, [(here, role)]);
        let of = Rights::everywhere;
        // One column for each of them.
        let who = [
            Rights::default(),
            at(Role::Viewer),
            at(Role::Operator),
            at(Role::Technician),
            at(Role::Admin),
            of(Role::Viewer),
            of(Role::Operator),
            of(Role::Technician),
            of(Role::Admin),
        ];
        let moves = |at, to| Deed::EditController { at, to: Some(to) };
        let stays = |at| Deed::EditController { at, to: None };
        // `.` may, `f` is forbidden, `?` does not know of it.
        for (deed, expected) in [
            (Deed::SeeSite(here), "?........"),
            (Deed::SeeSite(there), "?????...."),
            (Deed::ManageSites, "ffffffff."),
            (Deed::SeeController(Some(here)), "?........"),
            (Deed::SeeController(Some(there)), "?????...."),
            (Deed::SeeController(None), "?????...."),
            (stays(Some(here)), "?ff..ff.."),
            (stays(Some(there)), "?????ff.."),
            (stays(None), "?????ff.."),
            (moves(Some(here), Some(there)), "?ffffff.."),
            (moves(Some(there), Some(here)), "?????ff.."),
            (moves(Some(here), None), "?ffffff.."),
            (moves(Some(here), Some(here)), "?ff..ff.."),
            (Deed::Unenrol(Some(here)), "?ff..ff.."),
            (Deed::Unenrol(Some(there)), "?????ff.."),
            (Deed::AdministerController(Some(here)), "?fff.fff."),
            (Deed::AdministerController(Some(there)), "?????fff."),
            (Deed::AdministerController(None), "?????fff."),
            (Deed::ReadAudit, "ffffffff."),
            (Deed::SeeLibrary, "f........"),
            (Deed::AddToLibrary, "fff..ff.."),
            (Deed::AddFirmware, "fffffff.."),
            (Deed::RemoveFromLibrary, "ffffffff."),
            (Deed::RollOut(Some(here)), "?ff..ff.."),
            (Deed::RollOut(Some(there)), "?????ff.."),
            (Deed::RollOut(None), "?????ff.."),
            (Deed::SeeAlarms(Some(here)), "?........"),
            (Deed::SeeAlarms(None), "?????...."),
            (Deed::HandleAlarms(Some(here)), "?f...f..."),
            (Deed::HandleAlarms(None), "?????f..."),
            (Deed::PlanAlarms(Some(here)), "?ff..ff.."),
            (Deed::PlanAlarms(None), "?????ff.."),
            (Deed::SeeContacts, "fff..ff.."),
            (Deed::EditContacts, "fffffff.."),
            (Deed::ManageAccounts, "ffffffff."),
            (Deed::Keep(&own), "........."),
            (Deed::Keep(&other), "ffffffff."),
        ] {
            let found = who.iter().map(|rights| match judge(&own, rights, &deed) {
                Ok(()) => '.',
                Err(Code::Forbidden) => 'f',
                Err(Code::UnknownAddress) => '?',
                Err(code) => panic!("{code:?}"),
            });
            assert_eq!(found.collect::<String>(), expected, "{deed:?}");
        }
    }
}
