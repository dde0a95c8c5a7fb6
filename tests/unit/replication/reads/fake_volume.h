/* What replication/reads.c asks of a volume, said by the test. */
#ifndef TESTS_UNIT_REPLICATION_READS_FAKE_VOLUME_H
#define TESTS_UNIT_REPLICATION_READS_FAKE_VOLUME_H

#include <map>
#include <mutex>
#include <vector>

#include "replication/volume.h"

struct FakeShard {
    uint64_t leads_term = 0;
    uint64_t term = 0;
    uint64_t commit = 0;
    uint64_t applied = 0;
    bool alone = false;
    uint64_t configuration = 1;
    uint64_t lease_ms = 0;
    std::vector<uint64_t> voters;
};

struct volume {
    std::mutex lock;
    std::map<uint32_t, FakeShard> shards;
};

#endif /* TESTS_UNIT_REPLICATION_READS_FAKE_VOLUME_H */
