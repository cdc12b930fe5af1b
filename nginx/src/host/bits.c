/*
 * Nginx's bit fields. Where they lie only a C compiler with nginx's own headers knows for sure: the bindings place
 * those of ngx_http_request_t two bits off since nginx 1.29.3 (bindgen's issue 3384). `bits.rs` declares what is here.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

int secure_callbacks_header_only(const ngx_http_request_t *r)
{
    return r->header_only;
}

/* Whether nginx would follow an `error_page` now: not from within one, and not after too many redirects. */
int secure_callbacks_follows_error_page(const ngx_http_request_t *r)
{
    return !r->error_page && r->uri_changes != 0;
}

void secure_callbacks_set_expect_tested(ngx_http_request_t *r)
{
    r->expect_tested = 1;
}

void secure_callbacks_end_keepalive(ngx_http_request_t *r)
{
    r->keepalive = 0;
}

/* As nginx's own handler of PUT asks for it; without the line in the log that tells of a body too large for memory. */
void secure_callbacks_read_body_into_file(ngx_http_request_t *r)
{
    r->request_body_in_file_only = 1;
    r->request_body_in_persistent_file = 1;
    r->request_body_in_clean_file = 1;
    r->request_body_file_log_level = 0;
}

/* Where a buffer's bytes are: 0 in no way known here, 1 in memory, 2 in a file, 3 it has none and only says something. */
int secure_callbacks_buf_kind(const ngx_buf_t *b)
{
    if (ngx_buf_in_memory(b)) {
        return 1;
    }
    if (b->in_file) {
        return 2;
    }
    return b->last_buf || b->flush || b->sync ? 3 : 0;
}

/* The buffer is its chain's last; `last`: and the answer's. */
void secure_callbacks_set_last(ngx_buf_t *b, int last)
{
    b->last_buf = last != 0;
    b->last_in_chain = 1;
}

/* A location without a name: of `if` or `limit_except`. */
int secure_callbacks_noname(const ngx_http_core_loc_conf_t *conf)
{
    return conf->noname;
}

void secure_callbacks_set_variable(ngx_http_variable_value_t *v, u_char *data, size_t len)
{
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;
    v->len = len;
    v->data = data;
}

void secure_callbacks_set_not_found(ngx_http_variable_value_t *v)
{
    v->not_found = 1;
}
