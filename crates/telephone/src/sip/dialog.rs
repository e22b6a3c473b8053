//! What two sides of a call know of each other (RFC 3261 section 12), seen from whoever called.

use crate::sip::{
    header::{Uri, address, tag},
    message::{Message, Start},
};
use std::net::{IpAddr, SocketAddr};

/// Routes that one dialog may have. A call through more proxies is none.
const ROUTES_MAX: usize = 20;

/// Both sides, and the way between them.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    call_id: String,
    /// Our address with our tag.
    local: String,
    /// Theirs, with theirs.
    remote: String,
    target: String,
    /// The proxies that want to see every request, the nearest one first.
    routes: Vec<String>,
    pub(crate) local_sequence: u32,
    remote_sequence: Option<u32>,
    /// Where our requests go.
    pub(crate) hop: SocketAddr,
}

impl Dialog {
    /// The dialog that a 2xx to an INVITE makes. `source` is where it came from; `fixed_hop` is where everything
    /// goes, whatever the dialog says.
    pub(crate) fn of(
        invite: &Message,
        response: &Message,
        source: SocketAddr,
        fixed_hop: Option<SocketAddr>,
    ) -> Option<Self> {
        let contact = response.headers.list("Contact").next();
        let mut routes: Vec<String> = response
            .headers
            .list("Record-Route")
            .map(String::from)
            .collect();
        if routes.len() > ROUTES_MAX {
            return None;
        }
        routes.reverse();
        // One without a Contact is against the rules; the address that was called is the next best.
        let target = match (contact.and_then(target_in), &invite.start) {
            (Some(target), _) => target,
            (None, Start::Request { uri, .. }) => uri.clone(),
            (None, Start::Response { .. }) => return None,
        };
        let next = routes.first().map_or(target.as_str(), |it| address(it));
        let hop = fixed_hop.unwrap_or_else(|| hop(next, source));
        Some(Dialog {
            call_id: invite.headers.first("Call-ID")?.into(),
            local: invite.headers.first("From")?.into(),
            remote: response.headers.first("To")?.into(),
            target,
            routes,
            local_sequence: invite.sequence()?.0,
            remote_sequence: None,
            hop,
        })
    }

    pub(crate) fn remote_tag(&self) -> Option<&str> {
        tag(&self.remote)
    }

    /// A request within it, with the next number; ACK has that of its INVITE.
    pub(crate) fn request(&mut self, method: &str) -> Message {
        if method != "ACK" {
            self.local_sequence += 1;
        }
        // A proxy without lr is of RFC 2543 and wants to be the address itself (RFC 3261 section 12.2.1.1).
        let is_strict = self.routes.first().is_some_and(|it| {
            address(it)
                .parse::<Uri>()
                .is_ok_and(|uri| !uri.has_parameter("lr"))
        });
        let mut routes = self.routes.clone();
        let uri = match is_strict {
            true => {
                let first = routes.remove(0);
                routes.push(format!("<{}>", self.target));
                // It is an address, or its lr would not have been looked for.
                address(&first).to_owned()
            }
            false => self.target.clone(),
        };
        let mut message = Message::request(method, &uri);
        for route in &routes {
            message.headers.add("Route", route);
        }
        message.headers.add("Max-Forwards", "70");
        message.headers.add("From", &self.local);
        message.headers.add("To", &self.remote);
        message.headers.add("Call-ID", &self.call_id);
        message
            .headers
            .add("CSeq", &format!("{} {method}", self.local_sequence));
        message
    }

    /// Whether a request is of this dialog.
    pub(crate) fn has(&self, request: &Message) -> bool {
        let headers = &request.headers;
        headers.first("Call-ID") == Some(&self.call_id)
            && headers.first("To").and_then(tag) == tag(&self.local)
            && headers.first("From").and_then(tag) == tag(&self.remote)
    }

    /// Takes note of a request's number. False for one that is older than what was there (RFC 3261 section 12.2.2).
    pub(crate) fn follows(&mut self, request: &Message) -> bool {
        let Some((number, _)) = request.sequence() else {
            return false;
        };
        if self.remote_sequence.is_some_and(|last| number < last) {
            return false;
        }
        self.remote_sequence = Some(number);
        true
    }

    /// Takes a new target from a re-INVITE or UPDATE, or from the answer to ours.
    pub(crate) fn refresh(&mut self, message: &Message) {
        if let Some(target) = message.headers.list("Contact").next().and_then(target_in) {
            self.target = target;
        }
    }
}

/// The address in a Contact, if it can stand in the first line of a request: with a space in it, that would be
/// another line.
fn target_in(contact: &str) -> Option<String> {
    let target = address(contact);
    let is_one_word = !target.is_empty()
        && !target
            .chars()
            .any(|it| it.is_whitespace() || it.is_control());
    is_one_word.then(|| target.to_owned())
}

/// Where a request for this address goes: to the address itself where it is written as one. A name is not asked
/// for: whoever sent the answer knows the way. Neither is a private address followed that a public one has told,
/// since that is of a network behind it.
fn hop(uri: &str, source: SocketAddr) -> SocketAddr {
    let Ok(uri) = uri.parse::<Uri>() else {
        return source;
    };
    let number = uri
        .udp_or_tcp_port
        .unwrap_or(if uri.is_secure { 5061 } else { 5060 });
    match uri.ip() {
        Some(ip)
            if ip.is_ipv4() == source.is_ipv4() && (!is_private(ip) || is_private(source.ip())) =>
        {
            SocketAddr::new(ip, number)
        }
        _ => source,
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialog(answer_fields: &str) -> Dialog {
        let invite = "INVITE sip:7@pbx SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:7@pbx>\r\nCall-ID: x\r\nCSeq: 4 INVITE\r\n\r\n";
        let answer = format!("SIP/2.0 200 OK\r\nTo: <sip:7@pbx>;tag=2\r\n{answer_fields}\r\n");
        Dialog::of(
            &Message::parse(invite.as_bytes()).unwrap(),
            &Message::parse(answer.as_bytes()).unwrap(),
            "198.51.100.1:5060".parse().unwrap(),
            None,
        )
        .unwrap()
    }

    #[test]
    fn requests_go_by_the_proxies_that_want_to_see_them() {
        let mut it = dialog(
            "Record-Route: <sip:203.0.113.2:5070;lr>, <sip:203.0.113.1;lr>\r\nContact: <sip:7@10.0.0.9>\r\n",
        );
        let bye = it.request("BYE");
        let routes: Vec<_> = bye.headers.all("Route").collect();
        assert_eq!(
            routes,
            ["<sip:203.0.113.1;lr>", "<sip:203.0.113.2:5070;lr>"]
        );
        assert!(matches!(&bye.start, Start::Request { uri, .. } if uri == "sip:7@10.0.0.9"));
        assert_eq!(bye.sequence(), Some((5, "BYE")));
        assert_eq!(it.hop, "203.0.113.1:5060".parse().unwrap());
        assert_eq!(it.request("ACK").sequence(), Some((5, "ACK")));
    }

    #[test]
    fn an_old_proxy_is_the_address_itself() {
        let mut it = dialog("Record-Route: <sip:203.0.113.1>\r\nContact: <sip:7@10.0.0.9>\r\n");
        let bye = it.request("BYE");
        assert!(matches!(&bye.start, Start::Request { uri, .. } if uri == "sip:203.0.113.1"));
        assert_eq!(bye.headers.first("Route"), Some("<sip:7@10.0.0.9>"));
    }

    #[test]
    fn where_requests_go() {
        for (contact, expected) in [
            ("sip:7@203.0.113.9:5099", "203.0.113.9:5099"),
            ("sips:7@203.0.113.9", "203.0.113.9:5061"),
            // Behind somebody's NAT, no word at all, a name, another family, nonsense: the way that the answer came.
            ("sip:7@10.0.0.9", "198.51.100.1:5060"),
            ("sip:7@203.0.113.9 SIP/2.0", "198.51.100.1:5060"),
            ("sip:7@a.name", "198.51.100.1:5060"),
            ("sip:7@[2001:db8::1]", "198.51.100.1:5060"),
            ("tel:7", "198.51.100.1:5060"),
        ] {
            let it = dialog(&format!("Contact: <{contact}>\r\n"));
            assert_eq!(it.hop, expected.parse().unwrap(), "{contact}");
        }
        let private = "10.0.0.1:5060".parse().unwrap();
        assert_eq!(
            hop("sip:7@10.0.0.9", private),
            "10.0.0.9:5060".parse().unwrap()
        );
    }

    #[test]
    fn requests_of_others_are_told_apart() {
        let mut it = dialog("");
        let request = |fields: &str| {
            Message::parse(format!("BYE sip:a@h SIP/2.0\r\n{fields}\r\n").as_bytes()).unwrap()
        };
        let own = request(
            "From: <sip:7@pbx>;tag=2\r\nTo: <sip:a@b>;tag=1\r\nCall-ID: x\r\nCSeq: 9 BYE\r\n",
        );
        assert!(it.has(&own) && it.follows(&own) && it.follows(&own));
        assert!(!it.follows(&request("CSeq: 8 BYE\r\n")));
        for fields in [
            "From: <sip:7@pbx>;tag=3\r\nTo: <sip:a@b>;tag=1\r\nCall-ID: x\r\n",
            "From: <sip:7@pbx>;tag=2\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\n",
            "From: <sip:7@pbx>;tag=2\r\nTo: <sip:a@b>;tag=1\r\nCall-ID: y\r\n",
            "",
        ] {
            assert!(!it.has(&request(fields)), "{fields}");
        }
    }
}
