//! What a service is to do in a call, as XML (TwiML): built of texts that may be anything.

use crate::alarm::channel::email::escape;

/// A question in a call: keys are waited for while something is said, and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gather<'a> {
    /// Keys after which it is answered. Of more than one `#` is the last, wherever it comes; of one it is a key like others.
    pub(crate) digits: u8,
    /// Seconds to wait after the last word or key.
    pub(crate) wait_seconds: u8,
    /// Where the keys are told.
    pub(crate) action: &'a str,
}

/// What is said and asked, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    xml: String,
    is_asking: bool,
}

impl Reply {
    /// Nothing so far: the service would hang up.
    pub(crate) fn new() -> Self {
        Reply::default()
    }

    /// Asks for keys, whatever is said from here on: the first key breaks in.
    pub(crate) fn ask(mut self, gather: Gather<'_>) -> Self {
        self.end_question();
        let Gather {
            digits,
            wait_seconds,
            action,
        } = gather;
        let last = if digits > 1 { "#" } else { "" };
        self.xml.push_str(&format!(
            "<Gather input=\"dtmf\" numDigits=\"{digits}\" finishOnKey=\"{last}\" timeout=\"{wait_seconds}\" \
             method=\"POST\" action=\""
        ));
        escape(action, &mut self.xml);
        self.xml.push_str("\">");
        self.is_asking = true;
        self
    }

    /// Says something in a language, such as `en-GB` or `zh-CN`.
    pub(crate) fn say(mut self, text: &str, language: &str) -> Self {
        self.xml.push_str("<Say language=\"");
        escape(language, &mut self.xml);
        self.xml.push_str("\">");
        escape(text, &mut self.xml);
        self.xml.push_str("</Say>");
        self
    }

    /// Says nothing for so many seconds.
    pub(crate) fn pause(mut self, seconds: u8) -> Self {
        self.xml.push_str(&format!("<Pause length=\"{seconds}\"/>"));
        self
    }

    /// Hangs up, once nobody has answered what was asked.
    pub(crate) fn hang_up(mut self) -> Self {
        self.end_question();
        self.xml.push_str("<Hangup/>");
        self
    }

    /// Goes on as another URL says, once nobody has answered what was asked.
    pub(crate) fn go_on_at(mut self, url: &str) -> Self {
        self.end_question();
        self.xml.push_str("<Redirect method=\"POST\">");
        escape(url, &mut self.xml);
        self.xml.push_str("</Redirect>");
        self
    }

    /// The whole of it; its type is `text/xml`.
    pub(crate) fn xml(mut self) -> String {
        self.end_question();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{}</Response>",
            self.xml
        )
    }

    fn end_question(&mut self) {
        if std::mem::take(&mut self.is_asking) {
            self.xml.push_str("</Gather>");
        }
    }
}
