//! Holds nothing: the tests beside it compare `docs/configuration.md`, `docs/policy.schema.json` and the codes in
//! `docs/operations.md` with the code.
