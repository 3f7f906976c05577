// Calls over HTTP/2, as h2load would make them: windows so wide that flow control never shows.
#include "load.h"
#include <nghttp2/nghttp2.h>
#include <string.h>

enum { WINDOW = (1 << 30) - 1 };  // h2load's default, -w30 -W30

static ssize_t readBody(nghttp2_session *session, int32_t stream, uint8_t *into, size_t limit, uint32_t *flags,
                        nghttp2_data_source *source, void *user) {
    (void)session, (void)stream, (void)user;
    struct client *client = source->ptr;
    size_t count = client->body.count - client->sent;
    if (count > limit) count = limit;
    memcpy(into, client->body.bytes + client->sent, count);
    client->sent += count;
    if (client->sent == client->body.count) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)count;
}

#define HEADER(name, value) {(uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, strlen(value), 0}

static void submit(struct client *client) {
    nghttp2_nv headers[] = {
        HEADER(":method", "POST"),             HEADER(":scheme", "http"), HEADER(":authority", "127.0.0.1"),
        HEADER(":path", client->step->target), HEADER("te", "trailers"),  HEADER("content-type", "application/grpc"),
    };
    client->sent = 0;
    client->httpOK = client->grpcOK = 0;
    nghttp2_data_provider body = {{.ptr = client}, readBody};
    size_t count = sizeof headers / sizeof *headers;
    int error = nghttp2_submit_request(client->connection->session, 0, headers, count, &body, client);
    if (error < 0) fail("submit: %s", nghttp2_strerror(error));
}

static int onHeader(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t nameCount,
                    const uint8_t *value, size_t valueCount, uint8_t flags, void *user) {
    (void)flags, (void)user;
    struct client *client = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!client) return 0;
    if (nameCount == 7 && !memcmp(name, ":status", 7)) client->httpOK = valueCount == 3 && !memcmp(value, "200", 3);
    if (nameCount == 11 && !memcmp(name, "grpc-status", 11)) client->grpcOK = valueCount == 1 && *value == '0';
    if (nameCount == 12 && !memcmp(name, "grpc-message", 12) && valueCount)
        fail("%s: %.*s", client->step->target, (int)valueCount, (const char *)value);
    return 0;
}

static int onData(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes, size_t count,
                  void *user) {
    (void)flags, (void)user;
    struct client *client = nghttp2_session_get_stream_user_data(session, stream);
    if (client->replyCount + count > REPLY_BYTES) fail("a reply of more than %d bytes", REPLY_BYTES);
    memcpy(client->reply + client->replyCount, bytes, count);
    client->replyCount += count;
    return 0;
}

static int onClose(nghttp2_session *session, int32_t stream, uint32_t error, void *user) {
    (void)user;
    struct client *client = nghttp2_session_get_stream_user_data(session, stream);
    if (error) fail("stream %d was reset with code %u", stream, error);
    if (!client->httpOK) fail("stream %d: the HTTP status is not 200", stream);
    if (!staticFiles && !client->grpcOK) fail("stream %d: grpc-status is not 0", stream);
    int whole = client->replyCount >= 5 && frameLength(client->reply) == client->replyCount - 5;
    if (!whole) fail("stream %d: a broken reply", stream);
    answered(client);
    return 0;
}

static void produce(struct connection *connection) {
    for (;;) {
        if (!connection->rest)
            connection->restCount = nghttp2_session_mem_send(connection->session, &connection->rest);
        if (connection->restCount < 0) fail("send: %s", nghttp2_strerror((int)connection->restCount));
        if (!connection->restCount) { connection->rest = 0; return; }
        if (connection->end + (size_t)connection->restCount > OUTPUT_BYTES) return;
        memcpy(connection->output + connection->end, connection->rest, (size_t)connection->restCount);
        connection->end += (size_t)connection->restCount;
        connection->rest = 0;
    }
}

static void receive(struct connection *connection, const uint8_t *bytes, size_t count) {
    ssize_t taken = nghttp2_session_mem_recv(connection->session, bytes, count);
    if (taken < 0) fail("the server broke the protocol: %s", nghttp2_strerror((int)taken));
}

static void open(struct connection *connection) {
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, onHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, onData);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, onClose);
    nghttp2_session_client_new(&session, callbacks, connection);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
    };
    nghttp2_submit_settings(session, 0, settings, 2);
    nghttp2_session_set_local_window_size(session, 0, 0, WINDOW);
    connection->session = session;
}

const struct transport overHTTP2 = {open, submit, produce, receive};
