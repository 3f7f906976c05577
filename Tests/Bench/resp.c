// Calls of Lua scripts over RESP, Redis' protocol: one at a time on a connection, each answered by one line.
#include "load.h"
#include <stdio.h>
#include <string.h>

static void open(struct connection *connection) { (void)connection; }

static void produce(struct connection *connection) { (void)connection; }

static void submit(struct client *client) {
    struct connection *connection = client->connection;
    if (connection->waiting) fail("RESP has no streams: use -m 1");
    if (connection->end + client->body.count > OUTPUT_BYTES) fail("a request does not fit into the output");
    memcpy(connection->output + connection->end, client->body.bytes, client->body.count);
    connection->end += client->body.count;
    connection->waiting = client;
}

static void receive(struct connection *connection, const uint8_t *bytes, size_t count) {
    struct client *client = connection->waiting;
    if (!client) fail("a reply that nobody asked for");
    if (client->replyCount + count > REPLY_BYTES) fail("a reply of more than %d bytes", REPLY_BYTES);
    memcpy(client->reply + client->replyCount, bytes, count);
    client->replyCount += count;
    const uint8_t *line = memchr(client->reply, '\n', client->replyCount);
    if (!line) return;
    if (line != client->reply + client->replyCount - 1) fail("more than one reply to one call");
    if (*client->reply == '-') fail("%.*s", (int)client->replyCount - 2, client->reply);
    connection->waiting = 0;
    answered(client);
}

const struct transport overRESP = {open, submit, produce, receive};
