// What is called, in which order, and what a right answer is.
//
// A script is what one client does over and over. Later calls need what earlier ones answered: our release the token,
// etcd's transaction the lease that it granted. Where a server numbers its grants, a client's numbers must grow.
#include "load.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEASE_SECONDS = 60, LONGEST_TTL = 604800 };

// --- Protobuf, as much of it as is needed ---

struct field { uint64_t number, value; const uint8_t *whole, *bytes; };  // value: the count, where there are bytes

static uint64_t varint(const uint8_t **at, const uint8_t *end) {
    uint64_t value = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return value;
    }
    fail("a broken varint in a reply");
}

/// Reads the field that begins at *at; false at the end.
static int next(const uint8_t **at, const uint8_t *end, struct field *field) {
    if (*at >= end) return 0;
    field->whole = *at;
    uint64_t key = varint(at, end);
    field->number = key >> 3;
    field->value = varint(at, end);
    field->bytes = *at;
    if ((key & 7) == 0) return 1;
    if ((key & 7) != 2 || field->value > (uint64_t)(end - *at)) fail("a broken field in a reply");
    *at += field->value;
    return 1;
}

static uint8_t *putVarint(uint8_t *at, uint64_t value) {
    for (; value > 127; value >>= 7) *at++ = (uint8_t)(value | 128);
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *putNumber(uint8_t *at, unsigned number, uint64_t value) {
    return putVarint(putVarint(at, number << 3), value);
}

static uint8_t *putBytes(uint8_t *at, unsigned number, const void *bytes, size_t count) {
    at = putVarint(putVarint(at, number << 3 | 2), count);
    memcpy(at, bytes, count);
    return at + count;
}

/// The request whose message was written behind the five bytes of a frame's prefix, up to `end`.
static struct body framed(struct client *client, const uint8_t *end) {
    size_t count = (size_t)(end - client->request);
    uint32_t length = htonl((uint32_t)(count - 5));
    client->request[0] = 0;
    memcpy(client->request + 1, &length, 4);
    return (struct body){client->request, count};
}

#define FIELDS(client, field) \
    const uint8_t *at = (client)->reply + 5, *end = (client)->reply + (client)->replyCount; \
    for (struct field field; next(&at, end, &field);)

static void anything(struct client *client) { (void)client; }

static void grow(struct client *client, uint64_t token) {
    if (token <= client->token && !staticFiles)
        fail("token %ju after token %ju", (uintmax_t)token, (uintmax_t)client->token);
    client->token = token;
}

// --- Requests as they stand in the body file ---

static struct body asItStands(struct client *client) { return client->task; }

// --- agentkeeper: AcquireLease, ReleaseLease ---

static void isGranted(struct client *client) {
    uint64_t acquired = 0;
    FIELDS(client, field) if (field.number == 2) acquired = field.value;
    if (!acquired) fail("a lease was not granted: tasks of the body file overlap");
}

/// The ReleaseLeaseRequest for a granted AcquireLeaseResponse. Task, agent and token bear the numbers 1, 2 and 3 in
/// Lease and in the request alike, so their bytes are copied as they stand.
static struct body releaseOf(struct client *client) {
    uint8_t *into = client->request + 5;
    FIELDS(client, field) {
        if (field.number != 1) continue;
        const uint8_t *inner = field.bytes, *innerEnd = field.bytes + field.value;
        for (struct field part; next(&inner, innerEnd, &part);) {
            if (part.number > 3) continue;
            memcpy(into, part.whole, (size_t)(inner - part.whole));
            into += inner - part.whole;
            if (part.number != 3) continue;
            const uint8_t *number = part.bytes;
            struct field value;
            if (next(&number, inner, &value)) grow(client, value.value);
        }
    }
    return framed(client, into);
}

static void isEmpty(struct client *client) {
    if (client->replyCount != 5) fail("ReleaseLease answers with something");
}

// --- agentkeeper, filled: an agent, and a lease for it ---

static struct body leaseOfNewAgent(struct client *client) {
    char task[32];
    int count = snprintf(task, sizeof task, "task-%zu", client->number);
    uint8_t *into = putBytes(client->request + 5, 1, task, (size_t)count);
    FIELDS(client, field) if (field.number == 1) into = putBytes(into, 2, field.bytes, field.value);
    return framed(client, putNumber(into, 3, LONGEST_TTL));
}

// --- etcd: a lease, a key put if it is absent, both gone again ---

static const char holder[] = "0123456789abcdef0123456789abcdef";  // as long as one of our agents' ids

static struct body grant(struct client *client) {
    return framed(client, putNumber(client->request + 5, 1, LEASE_SECONDS));
}

static void takeLease(struct client *client) {
    client->lease = 0;
    FIELDS(client, field) if (field.number == 2) client->lease = field.value;
    if (!client->lease) fail("LeaseGrant gave no lease");
}

static struct body putIfAbsent(struct client *client) {
    const uint8_t *key = client->task.bytes + 5;
    size_t count = client->task.count - 5;
    uint8_t compare[256], put[256], operation[256], *end;
    if (count > 128) fail("too long a task");
    // create_revision (target 1) of the key is equal (result 0, the default) to 0.
    end = putNumber(putBytes(putNumber(compare, 2, 1), 3, key, count), 5, 0);
    uint8_t *into = putBytes(client->request + 5, 1, compare, (size_t)(end - compare));
    end = putNumber(putBytes(putBytes(put, 1, key, count), 2, holder, sizeof holder - 1), 3, client->lease);
    end = putBytes(operation, 2, put, (size_t)(end - put));
    return framed(client, putBytes(into, 2, operation, (size_t)(end - operation)));
}

/// The revision in a reply's header, which is etcd's fencing token.
static uint64_t revision(const struct field *header) {
    const uint8_t *at = header->bytes, *end = header->bytes + header->value;
    for (struct field field; next(&at, end, &field);) if (field.number == 3) return field.value;
    return 0;
}

static void isPut(struct client *client) {
    uint64_t succeeded = 0;
    FIELDS(client, field) {
        if (field.number == 1) grow(client, revision(&field));
        if (field.number == 2) succeeded = field.value;
    }
    if (!succeeded) fail("a key was not put: tasks of the body file overlap");
}

static struct body revoke(struct client *client) {
    return framed(client, putNumber(client->request + 5, 1, client->lease));
}

static struct body deleteKey(struct client *client) {
    return framed(client, putBytes(client->request + 5, 1, client->task.bytes + 5, client->task.count - 5));
}

static void isOneDeleted(struct client *client) {
    uint64_t deleted = 0;
    FIELDS(client, field) if (field.number == 2) deleted = field.value;
    if (deleted != 1) fail("%ju keys were deleted in place of 1", (uintmax_t)deleted);
}

// --- Redis: two Lua scripts ---

/// EVALSHA script 2 TASK "token" ARGUMENT: both scripts take the same keys.
static struct body evaluate(struct client *client, uint64_t argument) {
    char number[24];
    int digits = snprintf(number, sizeof number, "%ju", (uintmax_t)argument);
    int count = snprintf((char *)client->request, REQUEST_BYTES,
                         "*6\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n2\r\n$%zu\r\n%.*s\r\n$5\r\ntoken\r\n$%d\r\n%s\r\n",
                         client->step->target, client->task.count - 5, (int)client->task.count - 5,
                         (const char *)client->task.bytes + 5, digits, number);
    if (count >= REQUEST_BYTES) fail("too long a task");
    return (struct body){client->request, (size_t)count};
}

static struct body evaluateAcquire(struct client *client) { return evaluate(client, LEASE_SECONDS * 1000); }

static struct body evaluateRelease(struct client *client) { return evaluate(client, client->token); }

static uint64_t integer(struct client *client) {
    if (*client->reply != ':') fail("not an integer: %.*s", (int)client->replyCount, client->reply);
    return strtoull((char *)client->reply + 1, 0, 10);
}

static void isToken(struct client *client) { grow(client, integer(client)); }

static void isReleased(struct client *client) {
    if (integer(client) != 1) fail("a lock was not released");
}

// --- The choice ---

int chooseScript(const char *script, const char *path, const char *release, struct step steps[STEPS]) {
    if (!strcmp(script, "calls")) {
        steps[0] = (struct step){path, asItStands, release ? isGranted : anything, 1};
        steps[1] = (struct step){release, releaseOf, isEmpty, 1};
        return release ? 2 : 1;
    }
    if (!strcmp(script, "fill")) {
        steps[0] = (struct step){path, asItStands, anything, 0};
        steps[1] = (struct step){release, leaseOfNewAgent, isGranted, 1};
        return 2;
    }
    if (!strcmp(script, "etcd") || !strcmp(script, "etcd-delete")) {
        steps[0] = (struct step){"/etcdserverpb.Lease/LeaseGrant", grant, takeLease, 0};
        steps[1] = (struct step){"/etcdserverpb.KV/Txn", putIfAbsent, isPut, 1};
        steps[2] = (struct step){"/etcdserverpb.Lease/LeaseRevoke", revoke, anything, 1};
        if (strlen(script) > 4) steps[2] = (struct step){"/etcdserverpb.KV/DeleteRange", deleteKey, isOneDeleted, 1};
        return 3;
    }
    if (!strcmp(script, "redis")) {
        steps[0] = (struct step){path, evaluateAcquire, isToken, 1};
        steps[1] = (struct step){release, evaluateRelease, isReleased, 1};
        return release ? 2 : 1;
    }
    return 0;
}
