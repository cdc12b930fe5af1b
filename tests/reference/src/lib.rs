//! Holds nothing: the tests beside it compare `docs/configuration.md` and `docs/policy.schema.json` with the code.
