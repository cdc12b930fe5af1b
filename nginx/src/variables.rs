//! The variables `$secure_callbacks_*`, for the access log and for other directives.
#![forbid(unsafe_code)]

use ngx::ffi::ngx_str_t;
use ngx::ngx_string;
use secure_callbacks::Identity;

use crate::context::{Concluded, Context};
use crate::host::request::Request;

/// What a variable shows.
#[derive(Clone, Copy)]
pub(crate) enum Variable {
    /// The verdict's code.
    Result,
    /// The account.
    ApiKey,
    /// The application.
    ApplicationId,
    /// The token's own id.
    Jti,
}

impl Variable {
    pub(crate) const ALL: [Self; 4] = [Self::Result, Self::ApiKey, Self::ApplicationId, Self::Jti];

    pub(crate) fn name(self) -> ngx_str_t {
        match self {
            Self::Result => ngx_string!("secure_callbacks_result"),
            Self::ApiKey => ngx_string!("secure_callbacks_api_key"),
            Self::ApplicationId => ngx_string!("secure_callbacks_application_id"),
            Self::Jti => ngx_string!("secure_callbacks_jti"),
        }
    }

    /// The value for a request, from what was concluded last; `None` if there is none.
    pub(crate) fn value(self, request: Request<'_>) -> Option<&str> {
        let Concluded { code, identity, .. } = Context::all(request).find_map(Context::concluded)?;
        let identity = identity.as_ref();
        match self {
            Self::Result => *code,
            Self::ApiKey => identity.map(Identity::api_key),
            Self::ApplicationId => identity.and_then(Identity::application_id),
            Self::Jti => identity.and_then(Identity::jti),
        }
    }
}
