// What `standpipe.h` promises, on the generated binding.
#include "standpipe.h"

#include <stdlib.h>
#include <string.h>

// Grows by doubling; memory that is not there ends the batch.
typedef struct {
    char *at;
    size_t length, capacity;
} buffer;

typedef struct {
    const char *name;
    buffer data, ends;
} column;

// An `sp_outcome` in the making.
struct sp_outcome {
    buffer data, ends, inputs, statuses, keys;
};

enum { OK, DROPPED, FAILED };

static void *grow(buffer *buffer, size_t bytes) {
    if (buffer->capacity - buffer->length < bytes) {
        size_t capacity = buffer->capacity * 2 + bytes;
        buffer->at = realloc(buffer->at, capacity);
        if (buffer->at == NULL) abort();
        buffer->capacity = capacity;
    }
    void *at = buffer->at + buffer->length;
    buffer->length += bytes;
    return at;
}

static void push(buffer *buffer, const void *bytes, size_t length) {
    if (length > 0) memcpy(grow(buffer, length), bytes, length);
}

static void push_u32(buffer *buffer, size_t number) {
    uint32_t narrow = number;
    push(buffer, &narrow, sizeof narrow);
}

static size_t numbers(const buffer *buffer) { return buffer->length / sizeof(uint32_t); }

static sp_bytes cell(transform_list_u8_t data, transform_list_u32_t ends, size_t index) {
    size_t start = index == 0 ? 0 : ends.ptr[index - 1];
    return (sp_bytes){(const char *)data.ptr + start, ends.ptr[index] - start};
}

sp_bytes sp_config(const sp_facts *facts, const char *name) {
    for (size_t i = 0; i < facts->config.len; i++) {
        transform_tuple2_string_string_t pair = facts->config.ptr[i];
        if (pair.f0.len == strlen(name) && memcmp(pair.f0.ptr, name, pair.f0.len) == 0)
            return (sp_bytes){(const char *)pair.f1.ptr, pair.f1.len};
    }
    return (sp_bytes){NULL, 0};
}

size_t sp_count(const sp_batch *batch) { return batch->ends.len; }

sp_bytes sp_data(const sp_batch *batch, size_t record) { return cell(batch->data, batch->ends, record); }

uint64_t sp_arrived_ms(const sp_batch *batch, size_t record) { return batch->arrived_ms.ptr[record]; }

uint64_t sp_position(const sp_batch *batch, size_t record) { return batch->positions.ptr[record]; }

bool sp_has_shards(const sp_batch *batch) { return batch->shards.len > 0; }

uint32_t sp_shard(const sp_batch *batch, size_t record) { return batch->shards.ptr[record]; }

sp_bytes sp_key(const sp_batch *batch, size_t record) {
    if (batch->key_ends.len == 0) return (sp_bytes){NULL, 0};
    return cell(batch->key_data, batch->key_ends, record);
}

static void end_row(sp_outcome *out, size_t record, char status) {
    push_u32(&out->ends, out->data.length);
    push_u32(&out->inputs, record);
    push(&out->statuses, &status, 1);
}

static void forget_appended(sp_outcome *out) {
    size_t rows = numbers(&out->ends);
    out->data.length = rows == 0 ? 0 : ((uint32_t *)out->ends.at)[rows - 1];
}

void sp_append(sp_outcome *out, sp_bytes data) { push(&out->data, data.at, data.length); }

void sp_end(sp_outcome *out, size_t record) { end_row(out, record, OK); }

void sp_emit(sp_outcome *out, size_t record, sp_bytes data) {
    sp_append(out, data);
    sp_end(out, record);
}

void sp_drop(sp_outcome *out, size_t record) {
    forget_appended(out);
    end_row(out, record, DROPPED);
}

void sp_fail(sp_outcome *out, size_t record, const char *message) {
    forget_appended(out);
    push(&out->data, message, strlen(message));
    end_row(out, record, FAILED);
}

static column *find_column(sp_outcome *out, const char *name) {
    column *columns = (column *)out->keys.at;
    size_t count = out->keys.length / sizeof(column);
    for (size_t i = 0; i < count; i++)
        if (strcmp(columns[i].name, name) == 0) return &columns[i];
    column *added = grow(&out->keys, sizeof(column));
    *added = (column){.name = name};
    return added;
}

// Ends cells, the last of which holds what was pushed since, until there are `count`.
static void end_cells(column *column, size_t count) {
    while (numbers(&column->ends) < count) push_u32(&column->ends, column->data.length);
}

void sp_set_key(sp_outcome *out, const char *name, sp_bytes value) {
    size_t rows = numbers(&out->ends);
    column *column = find_column(out, name);
    end_cells(column, rows - 1);
    push(&column->data, value.at, value.length);
    end_cells(column, rows);
}

void sp_log(sp_level level, const char *message) {
    transform_string_t text;
    transform_string_set(&text, message);
    standpipe_transform_host_log(level, &text);
}

void sp_counter(const char *name, uint64_t by) {
    transform_string_t text;
    transform_string_set(&text, name);
    standpipe_transform_host_counter(&text, by);
}

// What the host calls.

static transform_list_u8_t bytes_of(buffer buffer) { return (transform_list_u8_t){(uint8_t *)buffer.at, buffer.length}; }

static transform_list_u32_t numbers_of(buffer buffer) {
    return (transform_list_u32_t){(uint32_t *)buffer.at, numbers(&buffer)};
}

static void key_columns(sp_outcome *out, standpipe_transform_types_list_key_column_t *ret) {
    column *columns = (column *)out->keys.at;
    ret->len = out->keys.length / sizeof(column);
    ret->ptr = ret->len == 0 ? NULL : calloc(ret->len, sizeof *ret->ptr);
    for (size_t i = 0; i < ret->len; i++) {
        end_cells(&columns[i], numbers(&out->ends));
        transform_string_dup(&ret->ptr[i].name, columns[i].name);
        ret->ptr[i].data = bytes_of(columns[i].data);
        ret->ptr[i].ends = numbers_of(columns[i].ends);
    }
}

bool exports_transform_init(transform_facts_t *facts, transform_lifetime_t *ret, transform_string_t *err) {
    sp_lifetime lifetime = SP_LIFETIME_BATCH;
    const char *refused = plugin_init(facts, &lifetime);
    if (refused != NULL) transform_string_dup(err, refused);
    *ret = lifetime;
    return refused == NULL;
}

void exports_transform_transform(transform_batch_t *batch, transform_outcome_t *ret) {
    sp_outcome out = {0};
    // As much again as came in is a good guess for what goes out.
    grow(&out.data, batch->data.len), out.data.length = 0;
    plugin_transform(batch, &out);
    *ret = (transform_outcome_t){
        .data = bytes_of(out.data),
        .ends = numbers_of(out.ends),
        .inputs = numbers_of(out.inputs),
        .statuses = bytes_of(out.statuses),
    };
    key_columns(&out, &ret->keys);
    free(out.keys.at);
    transform_batch_free(batch);
}
