//! Client operations: accounts, tokens, apps, enclave requests over REST.
