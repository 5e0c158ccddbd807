// Just enough JSON: checks the shape of a document and finds some of its fields, without making anything of it.
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>

#include "standpipe.h"

// A field of the outermost object that is looked for. `value` becomes its text, as it is written between the quotes.
typedef struct {
    const char *name;
    sp_bytes value;
} json_field;

// False if `text` is no JSON object, or one of the fields is there and no text.
bool json_find(sp_bytes text, json_field *fields, size_t count);

bool bytes_equal(sp_bytes bytes, const char *text);

#endif
