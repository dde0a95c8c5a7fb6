/* The disk below LMDB: this program's pwrite, writev, fdatasync and fsync stand in front of libc's. They can fail, and
 * they can keep a record from which every state is made that a power cut may leave behind. One thread. */
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

/* A WRITE lies in a cache until a SYNC of its file. NAMES: the folder is synced, with the names of files that nothing
 * was written to yet. */
enum class Kind { WRITE, SYNC, NAMES };

struct Event {
    Kind kind;
    std::string file; /* what its name has behind the volume's: "", "-wal0", ... */
    uint64_t offset;
    std::string bytes; /* NAMES: each as in `file`, one a line */
    /* LMDB's meta pages: a write to them that fails leaves the outcome unknown. */
    bool is_meta() const
    {
        return kind == Kind::WRITE && file.empty() && offset < 2 * 4096;
    }
    bool is_log() const
    {
        return file.rfind("-wal", 0) == 0;
    }
};

/* Asked before each event (its bytes are not there yet): 0, or an errno that it fails with. May make a write shorter
 * (*io_n). */
extern std::function<int(const Event &e, size_t *io_n)> fault;
/* What statvfs says of the file system: 4 KiB free, or 4 GiB. */
extern bool full;
/* Where events that succeed are kept, if anywhere. */
extern std::vector<Event> *record;

/* By file name as in Event. */
using Image = std::map<std::string, std::string>;

/* What is on the platters after the first `n` events, and what may be there besides: replayed step by step. */
class Platter
{
  public:
    void take(const Event &e);
    /* The power goes while `last` (or nothing) is under way: a random choice of the unsynced sectors has arrived,
     * `last` among them. share: how likely each one, 0 to 1. A file of which nothing has arrived is not there. */
    Image cut(const Event *last, double share, std::mt19937_64 &rng) const;

  private:
    Image synced;
    std::vector<Event> unsynced;
};

} // namespace disk

#endif /* TESTS_UNIT_STORAGE_KV_DISK_SIM_H */
