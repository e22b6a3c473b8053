//! Services that a gateway may work with: real servers, each on a free port of loopback with a folder of its own.

mod mariadb;
mod mosquitto;
mod redis;
mod slow;

pub use mariadb::MariaDb;
pub use mosquitto::{Mosquitto, MosquittoOptions};
pub use redis::Redis;
pub use slow::SlowLine;
