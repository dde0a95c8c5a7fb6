/* The disk below LMDB: this program's pwrite, writev and fdatasync stand in front of libc's. They can fail, and they
 * can keep a record from which every state is made that a power cut may leave behind. One thread. */
#ifndef TESTS_UNIT_STORAGE_KV_DISK_SIM_H
#define TESTS_UNIT_STORAGE_KV_DISK_SIM_H

#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace disk
{

/* WRITE lies in a cache until SYNC; META is written through (LMDB opens the file a second time with O_DSYNC for it). */
enum class Kind { WRITE, META, SYNC };

struct Event {
    Kind kind;
    uint64_t offset;
    std::string bytes;
};

/* Asked before each event: 0, or an errno that it fails with. May make a write shorter (*io_n). */
extern std::function<int(Kind kind, size_t *io_n)> fault;
/* What statvfs says of the file system: 4 KiB free, or 4 GiB. */
extern bool full;
/* Where events that succeed are kept, if anywhere. */
extern std::vector<Event> *record;

/* What is on the platters after the first `n` events, and what may be there besides: replayed step by step. */
class Platter
{
  public:
    /* What was there before the events. */
    explicit Platter(std::string before) : synced(std::move(before))
    {
    }
    void take(const Event &e);
    /* The power goes while `last` (or nothing) is under way: a random choice of the unsynced sectors has arrived,
     * `last` among them. share: how likely each one, 0 to 1. */
    std::string cut(const Event *last, double share, std::mt19937_64 &rng) const;

  private:
    std::string synced;
    std::vector<Event> unsynced;
};

} // namespace disk

#endif /* TESTS_UNIT_STORAGE_KV_DISK_SIM_H */
