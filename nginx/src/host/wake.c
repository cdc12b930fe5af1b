/*
 * A way into nginx's event loop for another thread of the worker's: a file descriptor (an eventfd) that the loop watches.
 * In C, because nginx's events are bit fields and inline functions. `wake.rs` declares what is here.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include <sys/eventfd.h>

typedef void (*woken_pt)(void);

static ngx_connection_t *waking;

static void woken(ngx_event_t *ev)
{
    ngx_connection_t *c = ev->data;
    woken_pt tell = (woken_pt) (uintptr_t) c->data;
    uint64_t count;

    ev->timedout = 0;
    while (read(c->fd, &count, sizeof(count)) == (ssize_t) sizeof(count)) { /* void */ }
    ev->ready = 0;
    if (ngx_handle_read_event(ev, 0) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, 0, "secure_callbacks: the shared store's answers are not heard any more");
    }
    tell();
}

static void nothing_to_write(ngx_event_t *ev)
{
}

/* A descriptor to write to, from any thread: `tell` is called in the event loop then. -1: there is none to be had. */
int secure_callbacks_wake_open(ngx_cycle_t *cycle, woken_pt tell)
{
    ngx_connection_t *c;
    int heard, bell;

    heard = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    /* One of its own, so that nobody writes to what nginx has closed. */
    bell = heard == -1 ? -1 : fcntl(heard, F_DUPFD_CLOEXEC, 0);
    c = bell == -1 ? NULL : ngx_get_connection(heard, cycle->log);
    if (c == NULL) {
        goto failed;
    }
    c->data = (void *) (uintptr_t) tell;
    c->log = cycle->log;
    c->read->log = cycle->log;
    c->write->log = cycle->log;
    c->read->handler = woken;
    c->write->handler = nothing_to_write;
    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_free_connection(c);
        goto failed;
    }
    waking = c;
    return bell;

failed:

    if (bell != -1) {
        (void) close(bell);
    }
    if (heard != -1) {
        (void) close(heard);
    }
    return -1;
}

/* Calls it after this time too. While a timer is set a worker that is told to end goes on, as it does for its requests. */
void secure_callbacks_wake_within(ngx_msec_t time)
{
    if (waking != NULL && !waking->read->timer_set) {
        ngx_add_timer(waking->read, time);
    }
}

/* Nobody waits any more. */
void secure_callbacks_wake_no_more(void)
{
    if (waking != NULL && waking->read->timer_set) {
        ngx_del_timer(waking->read);
    }
}

void secure_callbacks_wake_close(void)
{
    ngx_connection_t *c = waking;

    waking = NULL;
    if (c != NULL) {
        ngx_close_connection(c);
    }
}

/* Keeps nginx from doing anything with a request until its phases are resumed. */
void secure_callbacks_hold(ngx_http_request_t *r)
{
    r->write_event_handler = ngx_http_request_empty_handler;
}

/* What nginx does at the end of each of its own events. The request may be gone, and its connection too. */
void secure_callbacks_resume(ngx_http_request_t *r)
{
    ngx_connection_t *c = r->connection;

    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}
