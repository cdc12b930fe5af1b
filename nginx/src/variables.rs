//! The variables `$secure_callbacks_*`, for the access log and for other directives.
#![forbid(unsafe_code)]

use secure_callbacks::names::AccessLogValue;

use crate::context::{Concluded, Context};
use crate::host::request::Request;

/// What a variable shows of a request, from what was concluded last; `None`: nothing.
pub(crate) fn value(variable: AccessLogValue, request: Request<'_>) -> Option<&str> {
    let Concluded { code, identity, .. } = Context::all(request).find_map(Context::concluded)?;
    variable.of((*code)?, identity.as_ref())
}
