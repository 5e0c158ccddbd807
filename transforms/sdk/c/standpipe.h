// Write a Standpipe transform plugin in C: records in, rows out, nothing else in sight.
//
//     #include "standpipe.h"
//
//     const char *plugin_init(const sp_facts *facts, sp_lifetime *lifetime) { return NULL; }
//
//     void plugin_transform(const sp_batch *batch, sp_outcome *out) {
//         for (size_t i = 0; i < sp_count(batch); i++) sp_emit(out, i, sp_data(batch, i));
//     }
//
// Built with `standpipe.c`, `transform.c` and `transform_component_type.o` (generated from the WIT by `transforms/build`).
// A plugin has no clock, no randomness, no files and no network: the same batch must give the same outcome, because a
// delivery that crashed is repeated by running it again.
#ifndef STANDPIPE_H
#define STANDPIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transform.h"

// Bytes that belong to somebody else.
typedef struct {
    const char *at;
    size_t length;
} sp_bytes;

// Bytes from a literal.
#define SP_BYTES(literal) ((sp_bytes){literal, sizeof(literal) - 1})

typedef struct standpipe_transform_types_facts_t sp_facts;
typedef struct standpipe_transform_types_batch_t sp_batch;
typedef struct sp_outcome sp_outcome;

// How long an instance may live: a new one for every batch, or one for any number of batches, in any order, because what
// it remembers has no effect on outcomes.
typedef enum { SP_LIFETIME_BATCH, SP_LIFETIME_KEPT } sp_lifetime;

// A plugin is these two functions.
//
// Called once for each instance, before the first batch. What it returns, unless it is NULL, refuses the configuration.
const char *plugin_init(const sp_facts *facts, sp_lifetime *lifetime);
// Called for each batch: every record must be emitted (once or several times), dropped or failed, in their order.
void plugin_transform(const sp_batch *batch, sp_outcome *out);

// A configuration value; `at` is NULL if there is none.
sp_bytes sp_config(const sp_facts *facts, const char *name);

// How many records, and what is known of each. `sp_key` is empty, and there are no shards, for what was put into the
// delivery stream itself.
size_t sp_count(const sp_batch *batch);
sp_bytes sp_data(const sp_batch *batch, size_t record);
uint64_t sp_arrived_ms(const sp_batch *batch, size_t record);
uint64_t sp_position(const sp_batch *batch, size_t record);
bool sp_has_shards(const sp_batch *batch);
uint32_t sp_shard(const sp_batch *batch, size_t record);
sp_bytes sp_key(const sp_batch *batch, size_t record);

// Delivers `data` for `record`; may be called several times for one record.
void sp_emit(sp_outcome *out, size_t record, sp_bytes data);
// The same in pieces: what was appended since the last row becomes the next one.
void sp_append(sp_outcome *out, sp_bytes data);
void sp_end(sp_outcome *out, size_t record);
// Gives the row that was just emitted a partition key, for `!{partitionKeyFromLambda:name}` in a prefix.
void sp_set_key(sp_outcome *out, const char *name, sp_bytes value);
// Leaves `record` out, on purpose. What was appended is forgotten.
void sp_drop(sp_outcome *out, size_t record);
// Sends `record` to the error output as it came, with a message for a person. What was appended is forgotten.
void sp_fail(sp_outcome *out, size_t record, const char *message);

// Writes into the service's log, and adds to a counter of the plugin's own.
typedef enum { SP_DEBUG, SP_INFO, SP_WARN, SP_ERROR } sp_level;
void sp_log(sp_level level, const char *message);
void sp_counter(const char *name, uint64_t by);

#endif
