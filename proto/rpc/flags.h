/* Numbers shared by frontends and storage: message flags, special uses, FETCH columns. Part of the wire and the
 * records. */
#ifndef PROTO_RPC_FLAGS_H
#define PROTO_RPC_FLAGS_H

#include <stdint.h>

/* Message flags (RFC 3501, 2.3.2). Bits 8..62 are the mailbox's keywords 0..54; bit 63 says that overflow rows hold
 * more. */
#define FLAG_ANSWERED (UINT64_C(1) << 0)
#define FLAG_FLAGGED (UINT64_C(1) << 1)
#define FLAG_DELETED (UINT64_C(1) << 2)
#define FLAG_SEEN (UINT64_C(1) << 3)
#define FLAG_DRAFT (UINT64_C(1) << 4)
#define FLAG_SYSTEM_MASK UINT64_C(0x1f)
#define FLAG_KEYWORD_SHIFT 8
#define FLAG_KEYWORDS_MAX 55
#define FLAG_OVERFLOW (UINT64_C(1) << 63)

/* RFC 6154 */
#define SPECIAL_USE_NONE 0u
#define SPECIAL_USE_ALL 1u
#define SPECIAL_USE_ARCHIVE 2u
#define SPECIAL_USE_DRAFTS 3u
#define SPECIAL_USE_FLAGGED 4u
#define SPECIAL_USE_JUNK 5u
#define SPECIAL_USE_SENT 6u
#define SPECIAL_USE_TRASH 7u

/* ReadFetch.columns */
#define FETCH_COL_FLAGS (1u << 0)
#define FETCH_COL_MODSEQ (1u << 1)
#define FETCH_COL_INTERNAL (1u << 2)
#define FETCH_COL_SAVED (1u << 3)
#define FETCH_COL_SIZE (1u << 4)
#define FETCH_COL_OBJECTID (1u << 5)
#define FETCH_COL_ENVELOPE (1u << 6)
#define FETCH_COL_BODY (1u << 7)
#define FETCH_COL_BODYSTRUCTURE (1u << 8)
#define FETCH_COL_HEADERS (1u << 9)  /* cached header lines; empty when one of them did not fit: see the record */
#define FETCH_COL_RECORD (1u << 10)  /* the whole message record: part tables */
#define FETCH_COL_CONTENT (1u << 11) /* the message itself up to FETCH_CONTENT_MAX; empty above: ReadBody has it */
#define FETCH_CONTENT_MAX (128u * 1024)
#define FETCH_COL_TEXT_MASK                                                                                            \
    (FETCH_COL_ENVELOPE | FETCH_COL_BODY | FETCH_COL_BODYSTRUCTURE | FETCH_COL_HEADERS | FETCH_COL_RECORD |            \
     FETCH_COL_CONTENT)

/* A body above this is staged (ARCHITECTURE, section 5); derived records above METADATA_INLINE_MAX are cut by the
 * parser's limits. */
#define BODY_INLINE_MAX (128 * 1024)
#define MESSAGE_RECORD_MAX (32 * 1024)
#define STAGE_BODY_BYTES_MAX (512u * 1024 * 1024)
/* A staged body's chunks but the last: 32 rows of the store (replication/group.h, REPL_BODY_CHUNK_DATA), so that rows
 * stay full. */
#define STAGE_CHUNK_BYTES (32 * 4076)
#define OP_UIDS_MAX 1000
#define OP_RECIPIENTS_MAX 200 /* of one OpDeliver in its shard; ERR_LIMIT beyond */

#endif /* PROTO_RPC_FLAGS_H */
