//! One story on every screen.
