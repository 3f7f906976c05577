// load: one thread that keeps C connections x M streams of an HTTP/2 server busy with gRPC calls.
//
// h2load sends one body for ever. To take a lease, read its fencing token and give it back needs a
// client that looks at the reply, and one client must drive every server and every call, or the
// comparison compares clients. So this one takes its bodies from a file, in turn, and with -r answers
// each granted lease by releasing it. Otherwise it behaves as h2load does: windows so wide that
// flow control never shows, all output of a batch in one write, and a new call as soon as one ends.
//
// Every reply is checked (HTTP status, grpc-status, a whole gRPC frame, a granted lease): one that
// is not right makes the run fail. At the end no new call starts and those in flight are awaited, so
// the server has worked for exactly the calls that are reported.
//
//   load -p PORT -c CONNECTIONS -m STREAMS (-n CALLS | -s SECONDS) -u PATH -b BODIES [-r RELEASE] [-g]
//
// BODIES is a row of gRPC frames: the 5-byte prefix of each tells where the next begins.
// -g asks for grpc-status 0 (a static file server has none). -n and -s bound how many calls begin.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    REPLY_BYTES = 4096,        // the largest reply kept for checking; the measured calls answer in less
    OUTPUT_BYTES = 256 << 10,  // one batch of requests of one connection
    SILENCE_MS = 20000,        // a server that says nothing for so long has failed
    WINDOW = (1 << 30) - 1,    // h2load's default, -w30 -W30
};

struct body { const uint8_t *bytes; size_t count; };
struct connection {
    int socket;
    nghttp2_session *session;
    uint8_t output[OUTPUT_BYTES];
    size_t begin, end;
    const uint8_t *rest;  // a frame that did not fit into output any more
    ssize_t restCount;
};
struct call {
    struct connection *connection;
    struct body body;
    size_t sent, replyCount;
    uint64_t startedAt;
    int releasing, httpOK, grpcOK;
    uint8_t reply[REPLY_BYTES], release[REPLY_BYTES];
};

static struct {
    int port, connections, streams, grpc;
    long calls;
    double seconds;
    const char *path, *release;
} options;
static struct body *bodies;
static size_t bodyCount;
static uint64_t startedAt, lastAt, deadline;
static long begun, done, inFlight;
static uint32_t *latencies;  // nanoseconds, one for each call
static size_t latencyRoom;
static uint8_t firstReply[REPLY_BYTES];
static size_t firstReplyCount;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static void *room(void *old, size_t bytes) {
    void *new = realloc(old, bytes);
    if (!new) fail("no memory for %zu bytes", bytes);
    return new;
}

static uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static size_t frameLength(const uint8_t *prefix) {
    return (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 | prefix[4];
}

static uint64_t varint(const uint8_t **at, const uint8_t *end) {
    uint64_t value = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return value;
    }
    fail("a broken varint in a reply");
}

/// Makes the ReleaseLeaseRequest of a granted AcquireLeaseResponse. Task, agent and token bear the
/// numbers 1, 2 and 3 in Lease and in the request alike, so their bytes are copied as they stand.
static struct body releaseOf(struct call *call) {
    const uint8_t *at = call->reply + 5, *end = call->reply + call->replyCount, *lease = 0, *leaseEnd = 0;
    uint64_t acquired = 0;
    while (at < end) {
        uint64_t key = varint(&at, end), value = varint(&at, end);
        if (key == (1 << 3 | 2) && value <= (uint64_t)(end - at)) lease = at, at += value, leaseEnd = at;
        else if (key == (2 << 3 | 0)) acquired = value;
        else fail("an unknown field in AcquireLeaseResponse");
    }
    if (!acquired || !lease) fail("a lease was not granted: tasks of the body file overlap");
    size_t count = 5;
    for (at = lease; at < leaseEnd;) {
        const uint8_t *field = at;
        uint64_t key = varint(&at, leaseEnd), value = varint(&at, leaseEnd);
        if ((key & 7) != 2 || value > (uint64_t)(leaseEnd - at)) fail("an unknown field in Lease");
        at += value;
        if (key >> 3 > 3) continue;
        memcpy(call->release + count, field, (size_t)(at - field));
        count += (size_t)(at - field);
    }
    uint32_t length = htonl((uint32_t)(count - 5));
    call->release[0] = 0;
    memcpy(call->release + 1, &length, 4);
    return (struct body){call->release, count};
}

static ssize_t readBody(nghttp2_session *session, int32_t stream, uint8_t *into, size_t limit, uint32_t *flags,
                        nghttp2_data_source *source, void *user) {
    (void)session, (void)stream, (void)user;
    struct call *call = source->ptr;
    size_t count = call->body.count - call->sent;
    if (count > limit) count = limit;
    memcpy(into, call->body.bytes + call->sent, count);
    call->sent += count;
    if (call->sent == call->body.count) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)count;
}

#define HEADER(name, value) {(uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, strlen(value), 0}

static void submit(struct call *call) {
    const char *path = call->releasing ? options.release : options.path;
    nghttp2_nv headers[] = {
        HEADER(":method", "POST"),  HEADER(":scheme", "http"), HEADER(":authority", "127.0.0.1"),
        HEADER(":path", path),      HEADER("te", "trailers"),  HEADER("content-type", "application/grpc"),
    };
    call->sent = call->replyCount = 0;
    call->httpOK = call->grpcOK = 0;
    call->startedAt = nanoseconds();
    nghttp2_data_provider body = {{.ptr = call}, readBody};
    size_t count = sizeof headers / sizeof *headers;
    int error = nghttp2_submit_request(call->connection->session, 0, headers, count, &body, call);
    if (error < 0) fail("submit: %s", nghttp2_strerror(error));
}

static void startNext(struct call *call) {
    if (options.calls ? begun >= options.calls : nanoseconds() >= deadline) return;
    call->releasing = 0;
    call->body = bodies[(size_t)begun++ % bodyCount];
    inFlight++;
    submit(call);
}

static int onHeader(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t nameCount,
                    const uint8_t *value, size_t valueCount, uint8_t flags, void *user) {
    (void)flags, (void)user;
    struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!call) return 0;
    if (nameCount == 7 && !memcmp(name, ":status", 7)) call->httpOK = valueCount == 3 && !memcmp(value, "200", 3);
    if (nameCount == 11 && !memcmp(name, "grpc-status", 11)) call->grpcOK = valueCount == 1 && *value == '0';
    return 0;
}

static int onData(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes, size_t count,
                  void *user) {
    (void)flags, (void)user;
    struct call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call->replyCount + count > REPLY_BYTES) fail("a reply of more than %d bytes", REPLY_BYTES);
    memcpy(call->reply + call->replyCount, bytes, count);
    call->replyCount += count;
    return 0;
}

static int onClose(nghttp2_session *session, int32_t stream, uint32_t error, void *user) {
    (void)user;
    struct call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (error) fail("stream %d was reset with code %u", stream, error);
    if (!call->httpOK) fail("stream %d: the HTTP status is not 200", stream);
    if (options.grpc && !call->grpcOK) fail("stream %d: grpc-status is not 0", stream);
    int whole = call->replyCount >= 5 && frameLength(call->reply) == call->replyCount - 5;
    if (!whole) fail("stream %d: a broken reply", stream);
    lastAt = nanoseconds();
    if ((size_t)done == latencyRoom) latencies = room(latencies, (latencyRoom += 1 << 20) * sizeof *latencies);
    uint64_t latency = lastAt - call->startedAt;
    latencies[done] = latency > UINT32_MAX ? UINT32_MAX : (uint32_t)latency;
    if (!done++) memcpy(firstReply, call->reply, firstReplyCount = call->replyCount);
    if (options.release && !call->releasing) {
        call->body = releaseOf(call);
        call->releasing = 1;
        submit(call);
    } else {
        inFlight--;
        startNext(call);
    }
    return 0;
}

/// Writes what the session wants to send; true when the socket took all of it.
static int flush(struct connection *connection) {
    for (;;) {
        for (;;) {
            if (!connection->rest)
                connection->restCount = nghttp2_session_mem_send(connection->session, &connection->rest);
            if (connection->restCount < 0) fail("send: %s", nghttp2_strerror((int)connection->restCount));
            if (!connection->restCount) { connection->rest = 0; break; }
            if (connection->end + (size_t)connection->restCount > OUTPUT_BYTES) break;
            memcpy(connection->output + connection->end, connection->rest, (size_t)connection->restCount);
            connection->end += (size_t)connection->restCount;
            connection->rest = 0;
        }
        if (connection->begin == connection->end) return 1;
        ssize_t count = send(connection->socket, connection->output + connection->begin,
                             connection->end - connection->begin, MSG_NOSIGNAL);
        if (count < 0 && errno == EAGAIN) return 0;
        if (count < 0) fail("send: %s", strerror(errno));
        connection->begin += (size_t)count;
        if (connection->begin == connection->end) connection->begin = connection->end = 0;
    }
}

static struct connection *connectTo(int port, nghttp2_session_callbacks *callbacks) {
    struct connection *connection = room(0, sizeof *connection);
    memset(connection, 0, sizeof *connection);
    struct sockaddr_in address = {AF_INET, htons((uint16_t)port), {htonl(INADDR_LOOPBACK)}, {0}};
    connection->socket = socket(AF_INET, SOCK_STREAM, 0);
    int refused = connect(connection->socket, (struct sockaddr *)&address, sizeof address);
    if (refused) fail("connect: %s", strerror(errno));
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    nghttp2_session_client_new(&connection->session, callbacks, connection);
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
    };
    nghttp2_submit_settings(connection->session, 0, settings, 2);
    nghttp2_session_set_local_window_size(connection->session, 0, 0, WINDOW);
    return connection;
}

static void readBodies(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) fail("%s: %s", path, strerror(errno));
    size_t count = (size_t)ftell(file);
    uint8_t *bytes = room(0, count);
    rewind(file);
    if (fread(bytes, 1, count, file) != count) fail("%s: %s", path, strerror(errno));
    fclose(file);
    for (size_t at = 0; at + 5 <= count; bodyCount++) {
        bodies = room(bodies, (bodyCount + 1) * sizeof *bodies);
        bodies[bodyCount] = (struct body){bytes + at, 5 + frameLength(bytes + at)};
        at += bodies[bodyCount].count;
        if (at > count) fail("%s ends inside a frame", path);
    }
    if (!bodyCount) fail("%s has no frame", path);
}

static int ascending(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static void report(void) {
    qsort(latencies, (size_t)done, sizeof *latencies, ascending);
    printf("{\"requests\": %ld, \"seconds\": %.9f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"first_reply\": \"", done,
           (double)(lastAt - startedAt) / 1e9, latencies[(done - 1) / 2] / 1e3, latencies[(done - 1) * 99 / 100] / 1e3);
    for (size_t i = 0; i < firstReplyCount; i++) printf("%02x", firstReply[i]);
    puts("\"}");
}

int main(int count, char **arguments) {
    for (int option; (option = getopt(count, arguments, "p:c:m:n:s:u:b:r:g")) != -1;) switch (option) {
        case 'p': options.port = atoi(optarg); break;
        case 'c': options.connections = atoi(optarg); break;
        case 'm': options.streams = atoi(optarg); break;
        case 'n': options.calls = atol(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'u': options.path = optarg; break;
        case 'b': readBodies(optarg); break;
        case 'r': options.release = optarg; break;
        case 'g': options.grpc = 1; break;
        default: return 2;
    }
    if (!options.port || options.connections < 1 || options.streams < 1 || !options.path || !bodyCount ||
        !(options.calls > 0 || options.seconds > 0)) fail("an option is missing: see the head of load.c");

    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, onHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, onData);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, onClose);
    int poll = epoll_create1(0);
    struct connection *connections[options.connections];
    for (int i = 0; i < options.connections; i++) connections[i] = connectTo(options.port, callbacks);
    startedAt = nanoseconds();
    deadline = startedAt + (uint64_t)(options.seconds * 1e9);
    for (int i = 0; i < options.connections; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connections[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, connections[i]->socket, &event);
        for (int stream = 0; stream < options.streams; stream++) {
            struct call *call = room(0, sizeof *call);
            memset(call, 0, sizeof *call);
            call->connection = connections[i];
            startNext(call);
        }
        if (!flush(connections[i])) fail("the first requests do not fit into the socket");
    }
    static uint8_t input[64 << 10];
    while (inFlight) {
        struct epoll_event events[64];
        int ready = epoll_wait(poll, events, 64, SILENCE_MS);
        if (ready <= 0) fail("%ld calls without an answer for %d ms", inFlight, SILENCE_MS);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                ssize_t size = recv(connection->socket, input, sizeof input, MSG_DONTWAIT);
                if (size == 0) fail("the server closed a connection");
                if (size < 0 && errno != EAGAIN) fail("recv: %s", strerror(errno));
                ssize_t taken = size > 0 ? nghttp2_session_mem_recv(connection->session, input, (size_t)size) : 0;
                if (taken < 0) fail("the server broke the protocol: %s", nghttp2_strerror((int)taken));
            }
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
            if (!flush(connection)) event.events |= EPOLLOUT;
            if (event.events != EPOLLIN || events[i].events & EPOLLOUT)
                epoll_ctl(poll, EPOLL_CTL_MOD, connection->socket, &event);
        }
    }
    report();
}
