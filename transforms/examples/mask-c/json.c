// A scanner by recursive descent. What is neither text, object nor list is not looked at closely.
#include "json.h"

#include <string.h>

enum { DEPTH_MAX = 100 };

typedef struct {
    const char *at, *end;
    json_field *fields;
    size_t count;
} scanner;

static bool value(scanner *s, int depth);

bool bytes_equal(sp_bytes bytes, const char *text) {
    return bytes.length == strlen(text) && memcmp(bytes.at, text, bytes.length) == 0;
}

// The next character that is no space, or 0 at the end.
static char peek(scanner *s) {
    while (s->at < s->end && strchr(" \t\r\n", *s->at) && *s->at) s->at++;
    return s->at < s->end ? *s->at : 0;
}

static bool take(scanner *s, char c) {
    if (peek(s) != c) return false;
    s->at++;
    return true;
}

static bool string(scanner *s, sp_bytes *text) {
    if (!take(s, '"')) return false;
    text->at = s->at;
    for (; s->at < s->end && *s->at != '"'; s->at++)
        if (*s->at == '\\') s->at++;
    if (s->at >= s->end) return false;
    text->length = s->at++ - text->at;
    return true;
}

static bool literal(scanner *s) {
    const char *start = s->at;
    while (s->at < s->end && *s->at && strchr("+-.0123456789eEtrufalsn", *s->at)) s->at++;
    return s->at > start;
}

// The value of a field: it is kept if it is looked for.
static bool field(scanner *s, sp_bytes name, int depth) {
    for (size_t i = 0; depth == 0 && i < s->count; i++)
        if (bytes_equal(name, s->fields[i].name)) return peek(s) == '"' && string(s, &s->fields[i].value);
    return value(s, depth + 1);
}

static bool object(scanner *s, int depth) {
    if (!take(s, '{')) return false;
    if (take(s, '}')) return true;
    do {
        sp_bytes name;
        if (!string(s, &name) || !take(s, ':') || !field(s, name, depth)) return false;
    } while (take(s, ','));
    return take(s, '}');
}

static bool list(scanner *s, int depth) {
    if (!take(s, '[')) return false;
    if (take(s, ']')) return true;
    do {
        if (!value(s, depth + 1)) return false;
    } while (take(s, ','));
    return take(s, ']');
}

static bool value(scanner *s, int depth) {
    sp_bytes text;
    if (depth > DEPTH_MAX) return false;
    switch (peek(s)) {
        case '{': return object(s, depth);
        case '[': return list(s, depth);
        case '"': return string(s, &text);
        default: return literal(s);
    }
}

bool json_find(sp_bytes text, json_field *fields, size_t count) {
    scanner s = {text.at, text.at + text.length, fields, count};
    return object(&s, 0) && peek(&s) == 0 && s.at == s.end;
}
