//! Keys and logins: the clients' and the providers'.

pub mod chatgpt;
pub mod secret;
