/* What replicas of one group say to each other: Raft's messages, and their bytes. Pure functions; what comes from a
 * peer is bounds-checked (ERR_CORRUPT), never trusted further than a vote is.
 *
 * Bytes, little-endian: type(1) flags(1) attempt(2) shard(4) from(8) to(8) term(8), then by type
 *
 *   APPEND         prev index(8) prev term(8) commit(8) entries(4) [sent(8)], for each entry: term(8) type(1) 0(3)
 *                  data bytes(4) body bytes(4) data body      flags: 32 sent is there
 *   APPEND_RESULT  rejected(8) last index(8) [sent(8)]        flags: 32 sent is there
 *   VOTE           last index(8) last term(8)                 flags: 1 pre-vote, 2 disrupt leader
 *   VOTE_RESULT    -                                          flags: 1 pre-vote, 4 granted
 *   SNAPSHOT       index(8) term(8) configuration index(8) bytes(4) configuration
 *   TIMEOUT_NOW    last index(8) last term(8)
 *   COPY_PULL      copy(8) done(8) upto(8)                    flags: 8 again
 *   COPY_ROWS      copy(8) sequence(8) index(8) index term(8) configuration index(8) configuration bytes(4)
 *                  configuration rows                         flags: 16 last */
#ifndef REPLICATION_MESSAGE_H
#define REPLICATION_MESSAGE_H

#include "replication/group.h"
#include "replication/log.h"

#ifdef __cplusplus
extern "C" {
#endif

#define REPL_MESSAGE_HEAD_BYTES 32
#define REPL_MESSAGE_ENTRIES_MAX 256
/* An AppendEntries is cut when it has this much; a single entry may be larger by its headers. */
#define REPL_MESSAGE_BYTES_MAX (REPL_ENTRY_BYTES_MAX + 1024)
/* A peer says no higher term or index: half of what a meta row holds (log.c), so that nothing it says, and no number of
 * elections and entries after it, makes a row that cannot be read again. */
#define REPL_MESSAGE_NUMBER_MAX (UINT64_MAX / 4)

enum repl_message_type {
    REPL_MESSAGE_APPEND = 1,
    REPL_MESSAGE_APPEND_RESULT,
    REPL_MESSAGE_VOTE,
    REPL_MESSAGE_VOTE_RESULT,
    REPL_MESSAGE_SNAPSHOT,
    REPL_MESSAGE_TIMEOUT_NOW,
    REPL_MESSAGE_COPY_PULL, /* replication/copy.h */
    REPL_MESSAGE_COPY_ROWS,
};

/* An entry with its body, as it travels and as it waits for the disk. */
struct repl_entry {
    struct log_entry head;
    struct slice body;
};

/* One struct for all types: fields that a type does not have are 0. */
struct repl_message {
    enum repl_message_type type;
    struct shard_id shard;
    struct node_id from;
    struct node_id to;
    uint64_t term;
    uint64_t index; /* APPEND: previous; APPEND_RESULT, VOTE, TIMEOUT_NOW: last; SNAPSHOT: its own */
    uint64_t index_term;
    uint64_t commit;   /* APPEND */
    uint64_t rejected; /* APPEND_RESULT */
    uint64_t sent_ms;  /* APPEND: on the leader's clock, 0 = no lease is wanted; APPEND_RESULT: of the last one heard */
    bool pre_vote;
    bool disrupt;
    bool granted;
    uint64_t configuration_index; /* SNAPSHOT, COPY_ROWS */
    struct slice configuration;   /* the same; views the bytes */
    uint64_t copy;
    uint16_t attempt;  /* COPY_*: raised with each COPY_PULL again; batches of another one are not its */
    uint64_t sequence; /* COPY_PULL: what is done */
    uint64_t upto;     /* COPY_PULL */
    bool again;        /* COPY_PULL */
    bool last;         /* COPY_ROWS: index and configuration are set */
    struct slice rows; /* COPY_ROWS */
    size_t n_entries;  /* APPEND: how many follow, read with repl_message_entry */
    struct slice entries;
};

/* Everything but entries: an APPEND is written with n_entries 0, and entries are added to it. */
MUST_CHECK enum err repl_message_put(const struct repl_message *m, struct buf *out);
/* Adds an entry to the APPEND that ends `out` and began at `at`. */
MUST_CHECK enum err repl_message_put_entry(struct buf *out, size_t at, const struct repl_entry *e);
size_t repl_message_entry_bytes(const struct repl_entry *e);

/* Checks all lengths, entries included: ascending terms, known types, a configuration change only in front (a defect of
 * the library, notes in raft_driver.h). Views `bytes`. */
MUST_CHECK enum err repl_message_get(struct slice bytes, struct repl_message *out);
/* The next entry of an APPEND; *rest starts as m->entries. index is not in the bytes and set by the caller. */
void repl_message_entry(struct slice *rest, struct repl_entry *out);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_MESSAGE_H */
