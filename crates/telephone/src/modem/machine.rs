//! A modem's brain without a line or a clock: bytes, orders and the time go in, bytes and events come out.

use super::{
    Pin, attend,
    desk::{Desk, Event, Fault, Line, Order},
    report::{CallEnd, TextFault},
};
use std::{
    cell::RefCell,
    future::Future,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// See the module.
pub(super) struct Machine {
    desk: Rc<RefCell<Desk>>,
    procedure: std::pin::Pin<Box<dyn Future<Output = Fault>>>,
}

impl Machine {
    /// One for a modem that was opened now. `is_pin_spent`: a PIN was entered before and not found to be right.
    pub(super) fn new(now: Duration, pin: Option<Pin>, is_pin_spent: bool) -> Self {
        let desk = Rc::new(RefCell::new(Desk::new(now, is_pin_spent)));
        let procedure = Box::pin(attend::attend(Line::new(&desk), pin));
        Machine { desk, procedure }
    }

    /// Takes bytes of the modem.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.desk.borrow_mut().receive(bytes);
    }

    /// Takes something to do.
    pub(super) fn order(&mut self, order: Order) {
        self.desk.borrow_mut().order(order);
    }

    /// Goes on with what has come until now.
    ///
    /// # Errors
    /// When the modem is of no use any more and has to be opened anew. It is not to be called again after that.
    pub(super) fn advance(&mut self, now: Duration) -> Result<(), Fault> {
        self.desk.borrow_mut().pass_to(now);
        let mut context = Context::from_waker(Waker::noop());
        match self.procedure.as_mut().poll(&mut context) {
            Poll::Pending => Ok(()),
            Poll::Ready(fault) => Err(fault),
        }
    }

    /// When it has to be called next, if nothing comes.
    #[cfg(test)]
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.desk.borrow().due()
    }

    /// What is to be written.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        self.desk.borrow_mut().take_output()
    }

    /// What is to be told.
    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.desk.borrow_mut().next_event()
    }

    /// Nothing is under way and nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.desk.borrow().is_idle()
    }

    /// See [`Machine::new`].
    pub(super) fn is_pin_spent(&self) -> bool {
        self.desk.borrow().is_pin_spent
    }

    /// The modem was of use.
    pub(super) fn has_served(&self) -> bool {
        self.desk.borrow().has_served
    }

    /// Gives up all that waits or is under way; the events tell it.
    pub(super) fn abandon(&mut self, text: &TextFault, call: &CallEnd) {
        self.desk.borrow_mut().abandon(text, call);
    }
}
