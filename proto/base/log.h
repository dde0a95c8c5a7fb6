/* Structured logs: one JSON object a line on stderr. The edge that handles an error logs it once, with a stable event
 * id
 * ("smtp.delivered", "volume.full") and typed fields; libraries do not log. Never a password, never message content.
 * Thread-safe; a line is one write(2) of at most 4 KiB: a value over 1 KiB is cut and ends in "...", fields that no
 * longer fit are left out. Bytes that are not UTF-8 read \xNN, control characters are escaped, so every line is valid
 * JSON.
 *
 *     log_info("imap.login", "logged in", LOG_STR("user", name), LOG_U64("ms", ms));
 */
#ifndef PROTO_BASE_LOG_H
#define PROTO_BASE_LOG_H

#include <stdint.h>

#include "proto/base/err.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

enum log_field_type { LOG_FIELD_END, LOG_FIELD_STR, LOG_FIELD_SLICE, LOG_FIELD_U64, LOG_FIELD_I64, LOG_FIELD_ERR };

struct log_field {
    enum log_field_type type;
    const char *key;
    const char *str;
    struct slice slice;
    uint64_t u64;
    int64_t i64;
};

#define LOG_STR(k, v) log_field_str((k), (v))
#define LOG_SLICE(k, v) log_field_slice((k), (v))
#define LOG_U64(k, v) log_field_u64((k), (v))
#define LOG_I64(k, v) log_field_i64((k), (v))
#define LOG_ERR(v) log_field_u64_err("err", (v))

struct log_field log_field_str(const char *key, const char *v);
struct log_field log_field_slice(const char *key, struct slice v);
struct log_field log_field_u64(const char *key, uint64_t v);
struct log_field log_field_i64(const char *key, int64_t v);
struct log_field log_field_u64_err(const char *key, enum err v);

void log_set_level(enum log_level min);
MUST_CHECK enum err log_level_parse(struct slice name, enum log_level *out);
/* Fields by value, ended by a LOG_FIELD_END one; use the macros below. */
void log_write(enum log_level level, const char *event, const char *text, const struct log_field *fields, size_t n);
int log_enabled(enum log_level level);

#define LOG_AT(level, event, ...)                                                                                      \
    do {                                                                                                               \
        if (log_enabled(level)) {                                                                                      \
            LOG_FIELDS_(level, event, __VA_ARGS__, log_field_str(NULL, NULL));                                         \
        }                                                                                                              \
    } while (0)
#define LOG_FIELDS_(level, event, text, ...)                                                                           \
    do {                                                                                                               \
        const struct log_field log_fields_[] = {__VA_ARGS__};                                                          \
        log_write((level), (event), (text), log_fields_, sizeof(log_fields_) / sizeof(log_fields_[0]) - 1);            \
    } while (0)

#define log_debug(event, ...) LOG_AT(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) LOG_AT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_warn(event, ...) LOG_AT(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_error(event, ...) LOG_AT(LOG_LEVEL_ERROR, event, __VA_ARGS__)

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_LOG_H */
