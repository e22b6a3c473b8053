//! What keys and news do to alarms, and a few pictures of what is drawn.
