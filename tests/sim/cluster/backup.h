/* Backups of a simulated cluster's shards (backup.cc): a base by pulls from a node that believes to lead, entries of
 * its log or of a later leader's, and what they make, put together by replication/restore.h, compared with the replica
 * that was at that entry. */
#ifndef TESTS_SIM_CLUSTER_BACKUP_H
#define TESTS_SIM_CLUSTER_BACKUP_H

#include <memory>
#include <string>
#include <vector>

#include "replication/volume.h"

namespace cluster
{

class World;
class Node;

class Backup
{
  public:
    explicit Backup(World *w) : world_(w)
    {
    }
    ~Backup();
    Backup(const Backup &) = delete;
    Backup &operator=(const Backup &) = delete;
    /* Every millisecond. */
    void tick();

  private:
    struct Pull;
    void begin();
    void pull();
    void took();
    void increment();
    bool entries(Node *n);
    void compare(Node *n);
    void drop();
    World *world_;
    Node *from_ = nullptr; /* NULL: no backup is under way */
    uint32_t shard_ = 0;
    uint64_t copy_ = 0;
    uint64_t next_at_ = 0;
    int increments_ = 0;               /* to come, once the base is there */
    std::shared_ptr<Pull> pull_;       /* under way; also the volume's */
    std::vector<std::string> batches_; /* of the base */
    bool based_ = false;
    uint64_t base_index_ = 0, base_term_ = 0;
    std::string entries_;
    uint64_t index_ = 0, term_ = 0; /* the last that is saved */
};

} // namespace cluster

#endif /* TESTS_SIM_CLUSTER_BACKUP_H */
