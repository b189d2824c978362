//! Start, listen, observe, drain: what every service shares.
