/* The requests of a mover: each fills a request; those that copy note in the mover how far that goes. */
#ifndef STORAGE_APPLY_COMMON_MOVER_MAKE_H
#define STORAGE_APPLY_COMMON_MOVER_MAKE_H

#include "proto/schema/op.pb-c.h"
#include "storage/apply/mover.h"

#ifdef __cplusplus
extern "C" {
#endif

MUST_CHECK enum err mover_make_begin(const struct mover *m, const struct move_row *row, struct mover_request *out);
/* The email, or what its large body needs first. */
MUST_CHECK enum err mover_make_email(const struct mover *m, const struct store *s, const struct move_row *row,
                                     uint64_t email, struct mover_request *out);
MUST_CHECK enum err mover_make_keep(struct mover *m, const struct store *s, const struct move_row *row,
                                    struct mover_request *out);
/* out_none: there are no more. */
MUST_CHECK enum err mover_make_rows(struct mover *m, const struct store *s, const struct move_row *row,
                                    struct mover_request *out, bool *out_none);
MUST_CHECK enum err mover_make_ready(struct mover *m, const struct store *s, const struct move_row *row,
                                     struct mover_request *out);
MUST_CHECK enum err mover_make_end(const struct mover *m, const struct move_row *row, uint32_t how,
                                   struct mover_request *out);
MUST_CHECK enum err mover_make_name(const struct mover *m, const struct store *s, const struct move_row *row,
                                    struct mover_request *out);
MUST_CHECK enum err mover_make_step(const struct mover *m, uint32_t to, bool force, struct mover_request *out);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_COMMON_MOVER_MAKE_H */
