/* What clients ask for besides mail: folders, quota, accounts, the directory. */
#include "proto/rpc/flags.h"
#include "world.h"

namespace mail
{

void World::op_folder(const AccountRef &a)
{
    std::string name = some_name(*a);
    std::string other = some_name(*a);
    uint64_t pick = below(10);
    if (pick < 4) {
        Pb__OpMailboxCreate op = PB__OP_MAILBOX_CREATE__INIT;
        op.account = a->id;
        op.name = text(name);
        op.special_use = static_cast<uint32_t>(chance(20) ? below(8) : 0);
        submit(request(a->shard, METHOD_MAILBOX_CREATE, a->id, &op.base));
    } else if (pick < 7) {
        Pb__OpMailboxDelete op = PB__OP_MAILBOX_DELETE__INIT;
        op.account = a->id;
        op.name = text(name);
        submit(request(a->shard, METHOD_MAILBOX_DELETE, a->id, &op.base));
    } else {
        Pb__OpMailboxRename op = PB__OP_MAILBOX_RENAME__INIT;
        op.account = a->id;
        op.from = text(name);
        op.to = text(other);
        submit(request(a->shard, METHOD_MAILBOX_RENAME, a->id, &op.base));
    }
}

void World::op_misc(const AccountRef &a)
{
    std::string name = some_name(*a);
    uint64_t pick = below(10);
    if (pick < 4) {
        Pb__OpMailboxSubscribe op = PB__OP_MAILBOX_SUBSCRIBE__INIT;
        op.account = a->id;
        op.name = text(name);
        op.subscribed = chance(50);
        submit(request(a->shard, METHOD_MAILBOX_SUBSCRIBE, a->id, &op.base));
    } else if (pick < 8) {
        std::string path;
        MailboxRef m = some_mailbox(*a, &path);
        Pb__OpRecentClaim op = PB__OP_RECENT_CLAIM__INIT;
        op.account = a->id;
        op.mailbox = m == nullptr ? 1000000 : m->id;
        submit(request(a->shard, METHOD_RECENT_CLAIM, a->id, &op.base));
    } else {
        Pb__OpQuotaSet op = PB__OP_QUOTA_SET__INIT;
        op.account = a->id;
        op.quota_bytes = chance(60) ? 0 : 2000 + below(40000);
        op.quota_messages = chance(60) ? 0 : 3 + below(30);
        submit(request(a->shard, METHOD_QUOTA_SET, a->id, &op.base));
    }
}

/* --- accounts: first the name, then the account itself, as an operator's tool does --- */

std::string World::address()
{
    return "u" + std::to_string(below(12)) + "@sim.test";
}

void World::op_account()
{
    size_t live = 0;
    std::vector<std::pair<std::string, DirName>> unmade;
    for (const ShardFacts &s : model.shards) {
        for (const auto &[id, a] : s.accounts) {
            live += a->live;
        }
    }
    for (const auto &[name, n] : model.names) {
        if (n.account != 0 && model.shards[n.shard].accounts.count(n.account) == 0) {
            unmade.emplace_back(name, n);
        }
    }
    if (!unmade.empty()) {
        auto &[name, n] = unmade[below(unmade.size())];
        Pb__OpAccountCreate op = PB__OP_ACCOUNT_CREATE__INIT;
        Pb__OpAccountCreate *list[1] = {&op};
        Pb__OpAccountCreateMany many = PB__OP_ACCOUNT_CREATE_MANY__INIT;
        op.account = n.account;
        op.name = text(name);
        op.quota_messages = chance(80) ? 0 : 30;
        many.accounts = list;
        many.n_accounts = 1;
        if (chance(70)) {
            submit(request(n.shard, METHOD_ACCOUNT_CREATE, n.account, &op.base));
        } else {
            submit(request(n.shard, METHOD_ACCOUNT_CREATE_MANY, 0, &many.base));
        }
        return;
    }
    if (live < options_.accounts_max) {
        op_directory();
    } else if (chance(25)) {
        AccountRef a = some_account(static_cast<uint32_t>(1 + below(options_.shards - 1)));
        if (a != nullptr) {
            Pb__OpAccountRemove op = PB__OP_ACCOUNT_REMOVE__INIT;
            Pb__OpDirAccountRemove name = PB__OP_DIR_ACCOUNT_REMOVE__INIT;
            op.account = a->id;
            name.name = text(a->name);
            submit(request(0, METHOD_DIR_ACCOUNT_REMOVE, 0, &name.base));
            submit(request(a->shard, METHOD_ACCOUNT_REMOVE, a->id, &op.base));
        }
    }
}

void World::op_directory()
{
    static const std::string domain = "Sim.test";
    std::string name = address();
    std::string other = address();
    uint64_t pick = below(20);
    if (model.domains.empty() || pick == 0) {
        Pb__OpDomainSet op = PB__OP_DOMAIN_SET__INIT;
        op.name = text(domain);
        op.remove = !model.domains.empty() && chance(50);
        submit(request(0, METHOD_DOMAIN_SET, 0, &op.base));
    } else if (pick < 5) {
        Pb__OpAliasSet op = PB__OP_ALIAS_SET__INIT;
        char *targets[] = {text(other)};
        op.address = text(name);
        op.targets = targets;
        op.n_targets = 1;
        op.remove = chance(40);
        submit(request(0, METHOD_ALIAS_SET, 0, &op.base));
    } else if (model.names.size() >= options_.accounts_max + 2) {
        return;
    } else if (pick < 8) {
        Pb__OpDirAccountAddMany op = PB__OP_DIR_ACCOUNT_ADD_MANY__INIT;
        char *names[] = {text(name), text(other)};
        op.names = names;
        op.n_names = 2;
        op.shards = options_.shards - 1;
        submit(request(0, METHOD_DIR_ACCOUNT_ADD_MANY, 0, &op.base));
    } else {
        Pb__OpDirAccountAdd op = PB__OP_DIR_ACCOUNT_ADD__INIT;
        op.name = text(name);
        op.shards = options_.shards - 1;
        submit(request(0, METHOD_DIR_ACCOUNT_ADD, 0, &op.base));
    }
}

} // namespace mail
