//! The only SQL: users, sessions, apps, enclaves.
