//! Numbers and names: who has which. Pure; `fetch` alone asks the gateway.

use crate::{exit::Failure, words::plain};
use serde::{Deserialize, Serialize};
use switchyard_client::alarms::{Alarms, KeptContact, Site};

/// A number, or a name, as it stands in a file or on a command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Named {
    Number(u32),
    Name(String),
}

impl From<&str> for Named {
    fn from(text: &str) -> Self {
        match text.parse() {
            Ok(number) => Named::Number(number),
            Err(_) => Named::Name(text.to_owned()),
        }
    }
}

/// What a site is called that means all those without a plan of their own.
pub(crate) const ALL_SITES: &str = "all";

/// The contacts and sites that the account may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) contacts: Vec<KeptContact>,
    pub(crate) sites: Vec<Site>,
}

impl Directory {
    /// Asks for the sites, and for the contacts where that is allowed: not everybody may see those.
    pub(crate) async fn fetch(alarms: &Alarms) -> Result<Self, Failure> {
        let sites = alarms.sites().await?;
        let contacts = match alarms.contacts().await {
            Err(error) if error.code() == "forbidden" => Vec::new(),
            contacts => contacts?,
        };
        Ok(Directory { contacts, sites })
    }

    /// The contact that somebody means.
    pub(crate) fn contact(&self, meant: &Named) -> Result<&KeptContact, Failure> {
        let known = self
            .contacts
            .iter()
            .map(|it| (it.id, it.contact.name.as_str()));
        let place = find("a contact", meant, known)?;
        Ok(&self.contacts[place])
    }

    /// The site that somebody means; 0 for all those without a plan of their own.
    pub(crate) fn site_or_all(&self, text: &str) -> Result<u32, Failure> {
        match text {
            ALL_SITES | "0" => Ok(0),
            text => self.site(text),
        }
    }

    /// The site that somebody means.
    pub(crate) fn site(&self, text: &str) -> Result<u32, Failure> {
        let known = self.sites.iter().map(|it| (it.site, it.name.as_str()));
        let place = find("a site", &Named::from(text), known)?;
        Ok(self.sites[place].site)
    }

    /// What people call a site.
    pub(crate) fn site_name(&self, site: u32) -> String {
        let known = self.sites.iter().find(|it| it.site == site);
        match (site, known) {
            (0, _) => "all other sites".to_owned(),
            (_, Some(known)) => plain(&known.name),
            (_, None) => format!("site {site}"),
        }
    }

    /// What people call a contact.
    pub(crate) fn contact_name(&self, contact: u32) -> String {
        let known = self.contacts.iter().find(|it| it.id == contact);
        known.map_or_else(
            || format!("contact {contact}"),
            |it| plain(&it.contact.name),
        )
    }

    /// How a contact is written so that it is found again: by its name, where that is enough.
    pub(crate) fn written(&self, contact: u32) -> Named {
        let name = self.contacts.iter().find(|it| it.id == contact);
        let Some(name) = name.map(|it| &it.contact.name) else {
            return Named::Number(contact);
        };
        let is_clear = self
            .contacts
            .iter()
            .filter(|it| it.contact.name == *name)
            .count()
            == 1
            && matches!(Named::from(name.as_str()), Named::Name(_));
        match is_clear {
            true => Named::Name(name.clone()),
            false => Named::Number(contact),
        }
    }
}

/// The place of what somebody means: its number, or its name in whatever case, where that is clear.
pub(crate) fn find<'a>(
    what: &str,
    meant: &Named,
    known: impl Iterator<Item = (u32, &'a str)> + Clone,
) -> Result<usize, Failure> {
    let places = |is_meant: &dyn Fn(u32, &str) -> bool| -> Vec<usize> {
        let all = known.clone().enumerate();
        all.filter(|(_, (number, name))| is_meant(*number, name))
            .map(|(place, _)| place)
            .collect()
    };
    let found = match meant {
        Named::Number(meant) => places(&|number, _| number == *meant),
        Named::Name(meant) => {
            let exact = places(&|_, name| name == meant);
            match exact.is_empty() {
                true => places(&|_, name| name.to_lowercase() == meant.to_lowercase()),
                false => exact,
            }
        }
    };
    let text = match meant {
        Named::Number(number) => number.to_string(),
        Named::Name(name) => plain(name),
    };
    match found[..] {
        [place] => Ok(place),
        [] => {
            let mut names: Vec<_> = known.map(|(_, name)| plain(name)).take(21).collect();
            if names.len() > 20 {
                names[20] = "…".to_owned();
            }
            let there = match names.is_empty() {
                true => "there is none to be seen".to_owned(),
                false => format!("there is {}", names.join(", ")),
            };
            Err(Failure::usage(format!(
                "expected {what} and found {text}; {there}"
            )))
        }
        _ => {
            let numbers = found.iter().filter_map(|&it| known.clone().nth(it));
            let numbers: Vec<_> = numbers.map(|(number, _)| number.to_string()).collect();
            Err(Failure::usage(format!(
                "several are called {text}; give one of their numbers: {}",
                numbers.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_client::alarms::Contact;

    pub(crate) fn directory() -> Directory {
        let contact = |id, name: &str| KeptContact {
            id,
            has_pin: false,
            contact: Contact::new(name),
        };
        Directory {
            contacts: vec![
                contact(1, "Li"),
                contact(2, "Wang"),
                contact(3, "Wang"),
                contact(4, "7"),
            ],
            sites: vec![Site {
                site: 7,
                name: "North".into(),
            }],
        }
    }

    #[test]
    fn names_stand_for_numbers_where_they_are_clear() {
        let directory = directory();
        let id = |text: &str| directory.contact(&Named::from(text)).map(|it| it.id);
        assert_eq!(id("Li").unwrap(), 1);
        assert_eq!(id("li").unwrap(), 1);
        assert_eq!(id("3").unwrap(), 3);
        let told = id("Wang").unwrap_err();
        assert!(
            told.message().unwrap().ends_with("numbers: 2, 3"),
            "{told:?}"
        );
        let told = id("Zhao").unwrap_err();
        assert!(
            told.message().unwrap().contains("there is Li, Wang"),
            "{told:?}"
        );
        assert_eq!(directory.site_or_all("north").unwrap(), 7);
        assert_eq!(directory.site_or_all("all").unwrap(), 0);
        assert!(directory.site("8").is_err());
        for contact in 1..=5 {
            let written = directory.written(contact);
            let expected = match contact {
                1 => Named::Name("Li".into()),
                other => Named::Number(other),
            };
            assert_eq!(written, expected);
        }
    }
}
