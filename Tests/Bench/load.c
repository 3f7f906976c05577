// load: one thread that keeps C connections x M streams of a server busy.
//
// h2load sends one body for ever. To take a lease, read its fencing token and give it back needs a
// client that looks at the reply, and one client must drive every server and every call, or the
// comparison compares clients. So this one takes its tasks from a file, in turn, and follows a script
// (scripts.c) over HTTP/2 or RESP. All output of a batch goes out in one write, and a new call begins
// as soon as one ends.
//
// Every reply is checked (HTTP status, grpc-status, a whole gRPC frame, a granted lease, a token that
// grows): one that is not right makes the run fail. At the end no new script starts and those under way
// are awaited, so the server has worked for exactly the operations that are reported.
//
//   load -p PORT -c CONNECTIONS [-m STREAMS] (-n RUNS | -s SECONDS) -b BODIES [-k SCRIPT] [-u PATH] [-r RELEASE] [-gw]
//
// BODIES is a row of gRPC frames: the 5-byte prefix of each tells where the next begins.
//
//   -k calls   PATH with the frame as it stands; with -r each lease granted is released by RELEASE. The default
//   -k fill    PATH registers an agent, and RELEASE is AcquireLease: a task of its own for each
//   -k etcd    LeaseGrant and a put-if-absent Txn, then LeaseRevoke; the frame's message is the key
//   -k etcd-delete  the same, but DeleteRange of the key in place of LeaseRevoke
//   -k redis   EVALSHA of the scripts PATH and RELEASE; the frame's message is the key
//
// -g asks for grpc-status 0 (a static file server has none). -n and -s bound how many runs of the script begin.
// -w: each client goes through the script once; then "ready" is printed and a line awaited before the clock starts; and
// after the report the connections stay until standard input ends. So whoever measures the server sees neither the
// connections' set-up nor their end.
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SILENCE_MS = 20000 };  // a server that says nothing for so long has failed

static struct {
    int port, connections, streams, await;
    long runs;
    double seconds;
    const char *script, *path, *release;
} options = {.streams = 1, .script = "calls"};
int staticFiles = 1;
static const struct transport *transport = &overHTTP2;
static struct step steps[STEPS];
static int stepCount;
static struct body *bodies;
static size_t bodyCount;
static uint64_t startedAt, lastAt, busySince, deadline;
static long begun, limit, done, underWay;  // runs of the script; operations; clients inside a run
static uint64_t *latencies;                // nanoseconds, one for each operation
static size_t latencyRoom;
static uint8_t firstReply[REPLY_BYTES];
static size_t firstReplyCount;

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

void *room(void *old, size_t bytes) {
    void *new = realloc(old, bytes);
    if (!new) fail("no memory for %zu bytes", bytes);
    return new;
}

static uint64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void submit(struct client *client) {
    client->body = client->step->make(client);
    client->replyCount = 0;
    transport->submit(client);
}

static void startNext(struct client *client) {
    uint64_t now = nanoseconds(CLOCK_MONOTONIC);
    if (limit ? begun >= limit : now >= deadline) return;
    client->number = (size_t)begun++;
    client->task = bodies[client->number % bodyCount];
    client->step = steps;
    client->startedAt = now;
    underWay++;
    submit(client);
}

void answered(struct client *client) {
    const struct step *step = client->step;
    step->check(client);
    if (step->ends) {
        lastAt = nanoseconds(CLOCK_MONOTONIC);
        if ((size_t)done == latencyRoom) latencies = room(latencies, (latencyRoom += 1 << 20) * sizeof *latencies);
        latencies[done] = lastAt - client->startedAt;
        if (!done++) memcpy(firstReply, client->reply, firstReplyCount = client->replyCount);
        client->startedAt = lastAt;
    }
    if (++client->step < steps + stepCount) {
        submit(client);
    } else {
        underWay--;
        startNext(client);
    }
}

/// Writes what the transport wants to send; true when the socket took all of it.
static int flush(struct connection *connection) {
    for (;;) {
        transport->produce(connection);
        if (connection->begin == connection->end) return 1;
        ssize_t count = send(connection->socket, connection->output + connection->begin,
                             connection->end - connection->begin, MSG_NOSIGNAL);
        if (count < 0 && errno == EAGAIN) return 0;
        if (count < 0) fail("send: %s", strerror(errno));
        connection->begin += (size_t)count;
        if (connection->begin == connection->end) connection->begin = connection->end = 0;
    }
}

static struct connection *connectTo(int port) {
    struct connection *connection = room(0, sizeof *connection);
    memset(connection, 0, sizeof *connection);
    struct sockaddr_in address = {AF_INET, htons((uint16_t)port), {htonl(INADDR_LOOPBACK)}, {0}};
    connection->socket = socket(AF_INET, SOCK_STREAM, 0);
    int refused = connect(connection->socket, (struct sockaddr *)&address, sizeof address);
    if (refused) fail("connect: %s", strerror(errno));
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    transport->open(connection);
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

/// Starts every client and returns when none is inside a run of the script any more.
static void work(int poll, struct connection **connections, struct client **clients) {
    for (int i = 0; i < options.connections; i++) {
        for (int stream = 0; stream < options.streams; stream++) startNext(clients[i * options.streams + stream]);
        if (!flush(connections[i])) fail("the first requests do not fit into the socket");
    }
    static uint8_t input[64 << 10];
    while (underWay) {
        struct epoll_event events[64];
        int ready = epoll_wait(poll, events, 64, SILENCE_MS);
        if (ready <= 0) fail("%ld calls without an answer for %d ms", underWay, SILENCE_MS);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                ssize_t size = recv(connection->socket, input, sizeof input, MSG_DONTWAIT);
                if (size == 0) fail("the server closed a connection");
                if (size < 0 && errno != EAGAIN) fail("recv: %s", strerror(errno));
                if (size > 0) transport->receive(connection, input, (size_t)size);
            }
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
            if (!flush(connection)) event.events |= EPOLLOUT;
            if (event.events != EPOLLIN || events[i].events & EPOLLOUT)
                epoll_ctl(poll, EPOLL_CTL_MOD, connection->socket, &event);
        }
    }
}

static void awaitLine(void) {
    for (int byte; (byte = getchar()) != '\n' && byte != EOF;) {}
}

static int ascending(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void report(void) {
    if (!done) fail("no operation was done");
    double busy = (double)(nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - busySince) / 1e9;
    qsort(latencies, (size_t)done, sizeof *latencies, ascending);
    printf("{\"requests\": %ld, \"seconds\": %.9f, \"client_cpu_seconds\": %.9f, ", done,
           (double)(lastAt - startedAt) / 1e9, busy);
    printf("\"p50_us\": %.1f, \"p99_us\": %.1f, \"first_reply\": \"", (double)latencies[(done - 1) / 2] / 1e3,
           (double)latencies[(done - 1) * 99 / 100] / 1e3);
    for (size_t i = 0; i < firstReplyCount; i++) printf("%02x", firstReply[i]);
    puts("\"}");
    fflush(stdout);
}

int main(int count, char **arguments) {
    for (int option; (option = getopt(count, arguments, "p:c:m:n:s:u:b:r:k:gw")) != -1;) switch (option) {
        case 'p': options.port = atoi(optarg); break;
        case 'c': options.connections = atoi(optarg); break;
        case 'm': options.streams = atoi(optarg); break;
        case 'n': options.runs = atol(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'u': options.path = optarg; break;
        case 'b': readBodies(optarg); break;
        case 'r': options.release = optarg; break;
        case 'k': options.script = optarg; break;
        case 'g': staticFiles = 0; break;
        case 'w': options.await = 1; break;
        default: return 2;
    }
    stepCount = chooseScript(options.script, options.path, options.release, steps);
    int named = stepCount > 0;
    for (int i = 0; i < stepCount; i++) named &= steps[i].target != 0;
    if (!options.port || options.connections < 1 || options.streams < 1 || !named || !bodyCount ||
        !(options.runs > 0 || options.seconds > 0)) fail("an option is missing: see the head of load.c");
    if (!strcmp(options.script, "redis")) transport = &overRESP, staticFiles = 0;

    int poll = epoll_create1(0), clientCount = options.connections * options.streams;
    struct connection *connections[options.connections];
    struct client **clients = room(0, (size_t)clientCount * sizeof *clients);
    for (int i = 0; i < options.connections; i++) {
        connections[i] = connectTo(options.port);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connections[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, connections[i]->socket, &event);
    }
    for (int i = 0; i < clientCount; i++) {
        clients[i] = room(0, sizeof **clients);
        memset(clients[i], 0, sizeof **clients);
        clients[i]->connection = connections[i / options.streams];
    }
    if (options.await) {
        limit = clientCount;
        work(poll, connections, clients);
        done = 0;
        puts("ready");
        fflush(stdout);
        awaitLine();
    }
    limit = options.runs ? begun + options.runs : 0;
    busySince = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    startedAt = nanoseconds(CLOCK_MONOTONIC);
    deadline = startedAt + (uint64_t)(options.seconds * 1e9);
    work(poll, connections, clients);
    report();
    if (options.await) awaitLine();
}
