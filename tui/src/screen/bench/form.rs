//! What a board is to become, as a person fills it in.

use super::TEXT_CHARS_MAX;
use crate::cli::region;
use std::path::PathBuf;
use switchyard_protocol::{message::Title, serial::Password};

/// Images that one board takes: more than any layout of its flash has.
const IMAGES_MAX: usize = 6;
/// Gateways that a board dials in turn.
const GATEWAYS_MAX: usize = 2;

/// The form as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// The serial port that was chosen.
    pub(crate) serial_port: String,
    /// The field that keys go to, by its place among [`Form::fields`].
    pub(crate) focus: usize,
    title: String,
    /// `ADDRESS=FILE`; the last one is empty, for the next, while there is room.
    images: Vec<String>,
    board: String,
    wifi: String,
    password: Password,
    gateways: [String; GATEWAYS_MAX],
    script: String,
    way: Way,
    replaces: bool,
}

/// A line of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Title,
    Image(usize),
    Board,
    Wifi,
    Password,
    Gateway(usize),
    Script,
    Way,
    Replaces,
}

/// How a board gets into its loader and out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    #[default]
    Reset,
    InvertedReset,
    NoReset,
}

/// A form that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) serial_port: String,
    pub(crate) title: String,
    pub(crate) images: Vec<(u32, PathBuf)>,
    pub(crate) board: Option<String>,
    pub(crate) wifi: Option<String>,
    pub(crate) password: Password,
    pub(crate) gateways: Vec<String>,
    pub(crate) script: Option<PathBuf>,
    pub(crate) way: Way,
    pub(crate) replaces: bool,
}

impl Default for Form {
    fn default() -> Self {
        Form {
            serial_port: String::new(),
            focus: 0,
            title: String::new(),
            images: vec![String::new()],
            board: String::new(),
            wifi: String::new(),
            password: Password(String::new()),
            gateways: Default::default(),
            script: String::new(),
            way: Way::Reset,
            replaces: false,
        }
    }
}

impl Form {
    /// Its lines, from the top down.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let images = (0..self.images.len()).map(Field::Image);
        let gateways = (0..GATEWAYS_MAX).map(Field::Gateway);
        [Field::Title]
            .into_iter()
            .chain(images)
            .chain([Field::Board, Field::Wifi, Field::Password])
            .chain(gateways)
            .chain([Field::Script, Field::Way, Field::Replaces])
            .collect()
    }

    /// The field that keys go to.
    pub(crate) fn focused(&self) -> Field {
        let fields = self.fields();
        fields.get(self.focus).copied().unwrap_or(Field::Title)
    }

    /// Goes to a field.
    pub(crate) fn go_to(&mut self, field: Field) {
        let place = self.fields().iter().position(|it| *it == field);
        self.focus = place.unwrap_or(0);
    }

    /// What a field holds; a secret one so many dots.
    pub(crate) fn shown(&self, field: Field) -> String {
        match field {
            Field::Title => self.title.clone(),
            Field::Image(number) => self.images.get(number).cloned().unwrap_or_default(),
            Field::Board => self.board.clone(),
            Field::Wifi => self.wifi.clone(),
            Field::Password => "•".repeat(self.password.0.chars().count()),
            Field::Gateway(number) => self.gateways[number].clone(),
            Field::Script => self.script.clone(),
            Field::Way => self.way.words().to_owned(),
            Field::Replaces => if self.replaces { "yes" } else { "no" }.to_owned(),
        }
    }

    fn text(&mut self, field: Field) -> Option<&mut String> {
        Some(match field {
            Field::Title => &mut self.title,
            Field::Image(number) => self.images.get_mut(number)?,
            Field::Board => &mut self.board,
            Field::Wifi => &mut self.wifi,
            Field::Password => &mut self.password.0,
            Field::Gateway(number) => &mut self.gateways[number],
            Field::Script => &mut self.script,
            Field::Way | Field::Replaces => return None,
        })
    }

    /// Types into the focused field; a choice takes the space alone.
    pub(crate) fn put(&mut self, sign: char) {
        match self.text(self.focused()) {
            Some(text) if text.chars().count() < TEXT_CHARS_MAX => text.push(sign),
            Some(_) => {}
            None if sign == ' ' => self.turn(1),
            None => {}
        }
        let has_room = self.images.len() < IMAGES_MAX;
        if has_room && self.images.last().is_some_and(|it| !it.is_empty()) {
            self.images.push(String::new());
        }
    }

    /// Changes the focused field's text by taking from it.
    pub(crate) fn cut(&mut self, change: impl FnOnce(&mut String)) {
        if let Some(text) = self.text(self.focused()) {
            change(text);
        }
    }

    /// Turns a choice, and does nothing to a text.
    pub(crate) fn turn(&mut self, by: isize) {
        match self.focused() {
            Field::Way => self.way = self.way.next(by),
            Field::Replaces => self.replaces = !self.replaces,
            _ => {}
        }
    }

    /// Goes up or down.
    pub(crate) fn step(&mut self, by: isize) {
        let last = self.fields().len() - 1;
        self.focus = self.focus.saturating_add_signed(by).min(last);
    }

    /// The board that is to be, as it is called.
    pub(crate) fn board(&self) -> &str {
        self.board.trim()
    }

    /// What is filled in, if it makes sense; else the field that does not, and why.
    pub(crate) fn order(&self) -> Result<Order, (Field, String)> {
        let title = self.title.trim();
        if title.is_empty() {
            let why = "expected a title: what people will call it";
            return Err((Field::Title, why.into()));
        }
        Title::new(title).map_err(|error| (Field::Title, error.to_string()))?;
        let mut images = Vec::new();
        for (number, image) in self.images.iter().enumerate() {
            let image = image.trim();
            if !image.is_empty() {
                images.push(region(image).map_err(|why| (Field::Image(number), why))?);
            }
        }
        // A network's name may begin or end with a space, and so may a password.
        let wifi = Some(self.wifi.clone()).filter(|it| !it.is_empty());
        if wifi.is_none() && !self.password.0.is_empty() {
            return Err((Field::Wifi, "expected the network of this password".into()));
        }
        let filled = |text: &str| Some(text.trim().to_owned()).filter(|it| !it.is_empty());
        Ok(Order {
            serial_port: self.serial_port.clone(),
            title: title.to_owned(),
            images,
            board: filled(&self.board),
            wifi,
            password: self.password.clone(),
            gateways: self.gateways.iter().filter_map(|it| filled(it)).collect(),
            script: filled(&self.script).map(PathBuf::from),
            way: self.way,
            replaces: self.replaces,
        })
    }

    /// Forgets what no other board may be given by mistake.
    pub(crate) fn forget_secrets(&mut self) {
        self.password = Password(String::new());
    }
}

impl Field {
    /// What stands before it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Field::Title => "Title",
            Field::Image(_) => "Image",
            Field::Board => "Board",
            Field::Wifi => "Wi-Fi",
            Field::Password => "Password",
            Field::Gateway(0) => "Gateway",
            Field::Gateway(_) => "2nd gateway",
            Field::Script => "Script",
            Field::Way => "Reset",
            Field::Replaces => "Replace",
        }
    }

    /// What it is for.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Field::Title => "what people will call it",
            Field::Image(_) => "ADDRESS=FILE, such as 0x1000=user1.bin; none: its program is on it",
            Field::Board => "its profile, such as esp12f-relay-4; empty: whatever it is",
            Field::Wifi => "the network that it is to join; empty: as it is set already",
            Field::Password => "of the network; empty: it asks for none. Never kept",
            Field::Gateway(_) => "HOST:PORT, as seen from its network; empty: as set already",
            Field::Script => "the file of the script that it is to run; empty: as it is",
            Field::Way => "how it gets into its loader; space changes it",
            Field::Replaces => "make another controller of one that is enrolled; space changes it",
        }
    }

    /// Whether it is typed, and not chosen.
    pub(crate) fn is_text(self) -> bool {
        !matches!(self, Field::Way | Field::Replaces)
    }
}

impl Way {
    fn next(self, by: isize) -> Self {
        const ALL: [Way; 3] = [Way::Reset, Way::InvertedReset, Way::NoReset];
        let at = ALL.iter().position(|it| *it == self).unwrap_or(0);
        ALL[(at as isize + by).rem_euclid(ALL.len() as isize) as usize]
    }

    fn words(self) -> &'static str {
        match self {
            Way::Reset => "by DTR and RTS",
            Way::InvertedReset => "by DTR and RTS, inverted",
            Way::NoReset => "none: by hand, at GPIO0 and power",
        }
    }
}
