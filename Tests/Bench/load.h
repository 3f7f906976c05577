// What the files of the load generator share: clients, connections, and the two narrow waists between them.
//
// A client is one closed loop: it begins its next call when its last one is answered. Which calls, and what a right
// answer is, a script says (scripts.c); how calls travel, a transport says (http2.c, resp.c); load.c measures, and
// knows neither. So every server is driven by the same loop, with the same clock.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
    REPLY_BYTES = 4096,        // the largest reply kept for checking; the measured calls answer in less
    REQUEST_BYTES = 4096,      // the largest request that a script makes itself
    OUTPUT_BYTES = 256 << 10,  // one batch of requests of one connection
    STEPS = 3,                 // the most that a script has
};

struct body { const uint8_t *bytes; size_t count; };
struct client;

/// One call of a script. `make` gives its request; `check` ends the program if the reply is not right.
struct step {
    const char *target;  // a gRPC path, or the SHA-1 of a Lua script
    struct body (*make)(struct client *);
    void (*check)(struct client *);
    int ends;  // with this reply an operation is done; else the next step is a part of the same operation
};

struct connection {
    int socket;
    void *session;           // of the transport
    struct client *waiting;  // for the next reply, where the transport has no streams
    uint8_t output[OUTPUT_BYTES];
    size_t begin, end;
    const uint8_t *rest;  // a frame that did not fit into output any more
    ptrdiff_t restCount;
};

struct client {
    struct connection *connection;
    const struct step *step;
    struct body task;        // a gRPC frame of the body file: a request, or the name of the task to lock
    size_t number;           // of the script's present run, counted over all clients
    struct body body;        // the request on its way
    size_t sent, replyCount;
    uint64_t startedAt;      // of the operation
    uint64_t token, lease;   // kept by the script
    int httpOK, grpcOK;
    uint8_t reply[REPLY_BYTES], request[REQUEST_BYTES];
};

struct transport {
    void (*open)(struct connection *);
    void (*submit)(struct client *);  // client->body to client->step->target
    void (*produce)(struct connection *);  // more output, if it has any and there is room
    void (*receive)(struct connection *, const uint8_t *bytes, size_t count);
};

extern const struct transport overHTTP2, overRESP;
extern int staticFiles;  // are served: there is no grpc-status, and each reply bears the same token

/// Fills in the steps of `script` and says how many there are; 0: there is no such script.
int chooseScript(const char *script, const char *path, const char *release, struct step steps[STEPS]);

/// Tells the loop that client->reply is whole.
void answered(struct client *client);

__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);
void *room(void *old, size_t bytes);

static inline size_t frameLength(const uint8_t *prefix) {
    return (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 | prefix[4];
}
