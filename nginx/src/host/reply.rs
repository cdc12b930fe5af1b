//! An answer of our own, instead of the upstream's.

use core::ptr;

use ngx::allocator::{self, AllocError};
use ngx::core::{Buffer, Status};
use ngx::ffi::{ngx_chain_t, ngx_http_discard_request_body, ngx_http_output_filter, ngx_http_send_header};
use ngx::http::HTTPStatus;

use super::bits;
use super::headers::{self, Name};
use super::request::Request;

/// A whole answer. The texts live as long as the request.
#[derive(Clone, Copy)]
pub(crate) struct Answer<'r> {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The media type of the body.
    pub(crate) content_type: &'r str,
    /// The body: not empty.
    pub(crate) body: &'r str,
}

impl<'r> Request<'r> {
    /// Adds a field to the answer's head. `name` is in lower case; the value lives as long as the request.
    pub(crate) fn add_answer_field(self, name: &'static str, value: &'r str) -> Result<(), AllocError> {
        let field = headers::field(Name::of_answer(name), headers::over(value.as_bytes()));
        // SAFETY: the request is valid; the list is its answer's.
        unsafe {
            let head = &mut (*self.as_ptr()).headers_out;
            let element = headers::push(&raw mut head.headers, field)?;
            if name == "www-authenticate" {
                // Modules that let a caller through after all (`satisfy any`) take it back by this.
                head.www_authenticate = element.as_ptr();
            }
        }
        Ok(())
    }

    /// Says in the answer's head what its body is.
    pub(crate) fn describe_body(self, answer: &Answer<'r>) {
        // SAFETY: the request is valid, and the texts live as long.
        unsafe {
            let head = &mut (*self.as_ptr()).headers_out;
            head.content_type = headers::over(answer.content_type.as_bytes());
            head.content_type_len = answer.content_type.len();
            head.content_type_lowcase = ptr::null_mut();
            head.content_length_n = answer.body.len() as _;
        }
    }

    /// Lets nginx discard the request's body as it comes, without the `100 Continue` that would ask for it.
    /// The answer is for nginx, if it is not `NGX_OK`.
    pub(crate) fn discard_body(self) -> Status {
        // SAFETY: the request is valid.
        unsafe {
            bits::set_expect_tested(self.as_ptr());
            Status(ngx_http_discard_request_body(self.as_ptr()))
        }
    }

    /// As nginx does for an error of this kind, ends the connection with this answer.
    pub(crate) fn end_connection(self) {
        // SAFETY: the request is valid.
        unsafe { bits::end_keepalive(self.as_ptr()) };
    }

    /// Sends a whole answer and returns nginx's result, to finalize the request with.
    pub(crate) fn send(self, answer: &Answer<'r>) -> Status {
        let discarded = self.discard_body();
        if !discarded.is_ok() {
            return discarded;
        }
        // SAFETY: the request is valid.
        unsafe { (*self.as_ptr()).headers_out.status = answer.status.into() };
        self.describe_body(answer);
        // SAFETY: as above.
        let sent = Status(unsafe { ngx_http_send_header(self.as_ptr()) });
        // SAFETY: as above.
        if sent == Status::NGX_ERROR || sent > Status::NGX_OK || unsafe { bits::header_only(self.as_ptr()) } {
            return sent;
        }
        match self.last_link(answer.body) {
            // SAFETY: as above; the chain lives in the request's pool.
            Ok(chain) => Status(unsafe { ngx_http_output_filter(self.as_ptr(), chain) }),
            Err(AllocError) => HTTPStatus::INTERNAL_SERVER_ERROR.into(),
        }
    }

    /// A chain of one buffer, the answer's last.
    pub(crate) fn last_link(self, body: &str) -> Result<*mut ngx_chain_t, AllocError> {
        let mut buf = self.pool().create_buffer_from_str(body).ok_or(AllocError)?;
        // SAFETY: the buffer was made just now.
        unsafe { bits::set_last(buf.as_ngx_buf_mut(), self.is_main()) };
        let link = ngx_chain_t { buf: buf.as_ngx_buf_mut(), next: ptr::null_mut() };
        allocator::allocate(link, &self.pool()).map(|link| link.as_ptr())
    }
}
