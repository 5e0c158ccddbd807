// Leaves out debug lines, masks IP addresses and e-mail addresses, and partitions by service: `mask` in C, with a scanner
// in place of a JSON library.
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "json.h"
#include "standpipe.h"

static void append_masked(sp_outcome *out, sp_bytes text);

const char *plugin_init(const sp_facts *facts, sp_lifetime *lifetime) {
    (void)facts;
    *lifetime = SP_LIFETIME_KEPT;
    return NULL;
}

void plugin_transform(const sp_batch *batch, sp_outcome *out) {
    for (size_t i = 0; i < sp_count(batch); i++) {
        json_field fields[] = {{.name = "level"}, {.name = "service"}};
        if (!json_find(sp_data(batch, i), fields, 2)) {
            sp_fail(out, i, "not a log line");
        } else if (bytes_equal(fields[0].value, "debug")) {
            sp_drop(out, i);
        } else {
            append_masked(out, sp_data(batch, i));
            sp_end(out, i);
            sp_set_key(out, "service", fields[1].value);
        }
    }
}

// What addresses, times and plain words are made of.
static bool is_word(char c) { return isalnum((unsigned char)c) || c == '.' || c == ':'; }

static bool is_name(char c) { return !isspace((unsigned char)c) && !strchr("\"\\(),:;<>@[]", c); }

static void append(sp_outcome *out, const char *from, const char *to) { sp_append(out, (sp_bytes){from, to - from}); }

// Copies [from, to) into `text` if it fits: `inet_pton` wants a zero at the end.
static bool is_address(int family, const char *from, const char *to) {
    char text[INET6_ADDRSTRLEN], address[16];
    if (to - from >= (ptrdiff_t)sizeof text) return false;
    memcpy(text, from, to - from);
    text[to - from] = 0;
    return inet_pton(family, text, address) == 1;
}

// The first three groups of an IPv6 address.
static void append_ipv6(sp_outcome *out, const char *from, const char *to) {
    const char *at = from;
    for (int groups = 0; at < to && groups < 3; groups++) {
        if (at + 1 < to && at[0] == ':' && at[1] == ':') break;
        if (groups > 0) at++;
        while (at < to && *at != ':') at++;
    }
    append(out, from, at);
    sp_append(out, SP_BYTES("::"));
}

// One part of a word between colons: an IPv4 address goes without its last number.
static void append_part(sp_outcome *out, const char *from, const char *to) {
    const char *end = to;
    while (end > from && end[-1] == '.') end--;
    if (!is_address(AF_INET, from, end)) {
        append(out, from, to);
        return;
    }
    while (end[-1] != '.') end--;
    append(out, from, end);
    sp_append(out, SP_BYTES("0"));
}

static void append_word(sp_outcome *out, const char *from, const char *to) {
    const char *end = to;
    while (end > from && (end[-1] == '.' || end[-1] == ':')) end--;
    if (is_address(AF_INET6, from, end)) {
        append_ipv6(out, from, end);
        return;
    }
    for (const char *part = from; part < to;) {
        const char *colon = memchr(part, ':', to - part);
        append_part(out, part, colon ? colon : to);
        if (colon) sp_append(out, SP_BYTES(":"));
        part = colon ? colon + 1 : to;
    }
}

// Whether a word is worth a closer look: addresses have three dots or two colons.
static bool may_be_address(const char *from, const char *to) {
    int dots = 0, colons = 0;
    for (; from < to; from++) dots += *from == '.', colons += *from == ':';
    return dots >= 3 || colons >= 2;
}

static void append_masked(sp_outcome *out, sp_bytes text) {
    const char *at = text.at, *end = text.at + text.length, *copied = at, *name_floor = at;
    while (at < end) {
        if (*at == '\\') {
            // The letters of an escape (`\n`, `\u0041`) belong to no name.
            at += end - at > 1 && at[1] == 'u' ? 6 : 2;
            name_floor = at;
        } else if (*at == '@') {
            const char *name = at, *floor = name_floor > copied ? name_floor : copied;
            while (name > floor && is_name(name[-1])) name--;
            if (name < at && at + 1 < end && isalnum((unsigned char)at[1])) {
                append(out, copied, name);
                sp_append(out, SP_BYTES("***"));
                copied = at;
            }
            at++;
        } else if (is_word(*at)) {
            const char *word = at;
            while (at < end && is_word(*at)) at++;
            if (!may_be_address(word, at)) continue;
            append(out, copied, word);
            append_word(out, word, at);
            copied = at;
        } else {
            at++;
        }
    }
    if (copied < end) append(out, copied, end);
}
