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
    pub client: Client,
    /// Where it is.
    pub url: GatewayUrl,
    /// The log-in, by which an enrolment is taken back.
    pub token: Token,
    /// The site to which new controllers belong.
    pub site: Option<SiteId>,
    /// Where the link's work is done.
    pub runtime: Handle,
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
        let undone = switchyard_client::unenrol(&self.url, &self.token, *address, &key.0);
        Ok(self.runtime.block_on(undone)?)
    }
}
