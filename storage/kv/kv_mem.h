/* kv in memory, with crash semantics, for unit tests and the simulator: a committed transaction is durable, an open one
 * vanishes at a crash, and faults can be injected. Snapshots of read transactions are isolated from later writes and
 * cost one reference (storage/kv/mem_tree.h). One thread only. */
#ifndef STORAGE_KV_KV_MEM_H
#define STORAGE_KV_KV_MEM_H

#include "proto/base/kv.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What happens next in a kv_mem; all counters count down from n (1 = the next such operation), 0 = never. */
struct kv_mem_faults {
    uint64_t put_full_nth;    /* put/reserve/del fails with ERR_FULL */
    uint64_t get_corrupt_nth; /* get/cursor read fails with ERR_CORRUPT */
    uint64_t commit_full_nth; /* commit fails with ERR_FULL, nothing changed */
    /* The machine dies in the nth commit: before it is durable / after. The commit and all further operations return
     * ERR_IO until kv_mem_reopen; a struct volume answers nobody any more then. */
    uint64_t crash_before_commit_nth;
    uint64_t crash_after_commit_nth;
};

MUST_CHECK enum err kv_mem_new(struct kv **out);
struct kv_mem_faults *kv_mem_faults(struct kv *kv);
bool kv_mem_crashed(const struct kv *kv);
/* The machine dies now. */
void kv_mem_crash(struct kv *kv);
/* As after power-on: what was committed is there, nothing else; no faults are set. Outstanding transactions are invalid
 * and freed. */
void kv_mem_reopen(struct kv *kv);
/* Bytes of keys and values from which on writes fail with ERR_FULL (1 TiB at first). */
void kv_mem_limit(struct kv *kv, uint64_t bytes);
uint64_t kv_mem_commits(const struct kv *kv);
uint64_t kv_mem_operations(const struct kv *kv);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_KV_KV_MEM_H */
