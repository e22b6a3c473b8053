//! The gateway over real sockets: scripted controllers and tools against a whole gateway, and the
//! contract that every store keeps.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod alarms;
mod alarms_contract;
mod alarms_provider;
mod api;
mod api_inside;
mod compiler;
mod contract;
mod controllers;
mod databases;
mod events;
mod firmware;
mod fleet;
mod fleet_contract;
mod history;
mod history_contract;
mod http;
mod keys;
mod keys_contract;
mod library_contract;
mod limits;
mod mqtt;
mod mqtt_faults;
mod one_of_a_kind;
mod operations;
mod people;
mod process;
mod proxy;
mod recent;
mod records;
mod rollout_rights;
mod rollouts;
mod status_contract;
mod status_store;
mod support;
mod tls;
mod tools;
mod webhooks;
