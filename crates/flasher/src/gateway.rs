//! The gateway as a registry of controllers.

use switchyard_client::{Client, GatewayUrl, Token};
use switchyard_protocol::{
    Address, SiteId,
    message::{LinkKey, Title},
};
use tokio::runtime::Handle;

use crate::{Enrolment, Registry, RegistryError};

/// A gateway that somebody is logged in to. Used from a thread that may block.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// The link, by which controllers are enrolled and looked for.
    client: Client,
    /// Where it is.
    url: GatewayUrl,
    /// The log-in, by which an enrolment is taken back.
    token: Token,
    /// The site to which new controllers belong.
    site: Option<SiteId>,
    /// Where the link's work is done.
    runtime: Handle,
    /// The enrolment that was last asked to be taken back: the answer may have been lost.
    undoing: Option<Address>,
}

impl Gateway {
    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &GatewayUrl {
        &self.url
    }

    /// One whose new controllers belong to this site, or to none.
    pub fn new(
        client: Client,
        (url, token): (GatewayUrl, Token),
        site: Option<SiteId>,
        runtime: Handle,
    ) -> Self {
        Gateway {
            client,
            url,
            token,
            site,
            runtime,
            undoing: None,
        }
    }
}

impl Registry for Gateway {
    fn enrol(&mut self, title: &str) -> Result<Enrolment, RegistryError> {
        let title = Title::new(title)?;
        let (address, key) = self.runtime.block_on(self.client.enrol(title, self.site))?;
        Ok(Enrolment {
            address,
            key: LinkKey(key),
        })
    }

    fn is_online(&mut self, address: Address) -> Result<bool, RegistryError> {
        let (is_online, _, _) = self.runtime.block_on(self.client.lookup(address))?;
        Ok(is_online)
    }

    fn undo(&mut self, enrolment: &Enrolment) -> Result<(), RegistryError> {
        let Enrolment { address, key } = enrolment;
        let is_repeat = self.undoing.replace(*address) == Some(*address);
        let undone = switchyard_client::unenrol(&self.url, &self.token, *address, &key.0);
        match self.runtime.block_on(undone) {
            Err(error) if is_repeat && error.code() == "unknown_address" => Ok(()),
            other => Ok(other?),
        }
    }
}
