/* Two shards and a directory, and the mover that drives an account from one to the other. */
#ifndef TESTS_UNIT_STORAGE_APPLY_MOVE_RIG_H
#define TESTS_UNIT_STORAGE_APPLY_MOVE_RIG_H

#include <functional>

#include "storage/apply/mover.h"
#include "storage/mailbox/moving.h"
#include "tests/unit/storage/apply/shard.h"

namespace move_test
{

using namespace shard_test;

constexpr uint64_t kAlice = 11;
constexpr uint64_t kBob = 12;

class Rig
{
  public:
    Shard directory{0, 5};
    Shard one{1, 6};
    Shard two{2, 7};
    struct mover mover;
    int sent = 0;
    /* May lose a request (false) or look at the world before it. */
    std::function<bool(const struct mover_request &)> before = [](const struct mover_request &) { return true; };
    bool lose_answers = false;

    Rig()
    {
        mover_request_init(&request_);
        mover_init(&mover, {1}, {kAlice}, 3);
        rng_seeded_init(&two.rng, 43); /* request ids are unique in a cluster */
        rng_seeded_init(&directory.rng, 44);
        one.index = 1000;
        two.index = 5000;
        EXPECT_EQ(OK, one.create_account(kAlice));
        EXPECT_EQ(OK, one.create_account(kBob));
        Pb__OpDomainSet d = PB__OP_DOMAIN_SET__INIT;
        d.name = const_cast<char *>("example.test");
        EXPECT_EQ(OK, directory.apply(METHOD_DOMAIN_SET, &d.base, 0).status);
        for (uint64_t id = 1; id <= kBob; id++) {
            std::string name = "user" + std::to_string(id) + "@example.test";
            Pb__OpDirAccountAdd a = PB__OP_DIR_ACCOUNT_ADD__INIT;
            a.name = const_cast<char *>(name.c_str());
            a.shard = 1;
            EXPECT_EQ(OK, directory.apply(METHOD_DIR_ACCOUNT_ADD, &a.base, 0).status);
        }
    }
    ~Rig()
    {
        mover_request_fini(&request_);
    }

    Shard &shard(uint32_t n)
    {
        return n == 0 ? directory : n == 1 ? one : two;
    }

    enum err start(uint64_t account = kAlice, uint32_t from = 1, uint32_t to = 2)
    {
        Pb__OpMoveStart op = PB__OP_MOVE_START__INIT;
        op.account = account;
        op.to = to;
        enum err e = shard(from).apply(METHOD_MOVE_START, &op.base, account).status;
        if (e == OK) {
            mover_init(&mover, {from}, {account}, 3);
        }
        return e;
    }

    uint32_t state(uint32_t from = 1, uint64_t account = kAlice)
    {
        struct move_row row = {};
        return with(from, [&](const struct store *s) {
            enum err e = move_get(s, {account}, &row);
            return e == OK ? row.state : uint32_t(MOVE_OVER);
        });
    }

    uint32_t account_state(uint32_t in, uint64_t account = kAlice)
    {
        struct account_row row = {};
        return with(in, [&](const struct store *s) { return account_get(s, {account}, &row) == OK ? row.state : 0; });
    }

    /* One request and its answer. */
    enum mover_next step()
    {
        enum mover_next next = MOVER_OVER;
        uint32_t from = mover.from.v;
        enum err e = with(
            from, [&](const struct store *s) { return mover_next(&mover, s, shard(from).now_ms, &request_, &next); });
        EXPECT_EQ(OK, e);
        if (e != OK) {
            return MOVER_OVER;
        }
        if (next == MOVER_SEND) {
            sent++;
            EXPECT_LE(request_.op.len + request_.body.len, 250u * 1024);
            if (!before(request_)) {
                (void)mover_answered(&mover, &request_, ERR_UNAVAILABLE, slice_str(""), shard(from).now_ms);
                return next;
            }
            Result r = send();
            if (getenv("MOVE_TRACE") != nullptr)
                printf("method %u how %u status %s\n", request_.method, request_.how, err_name(r.status));
            EXPECT_EQ(OK, r.error);
            enum err status = lose_answers ? ERR_TIMEOUT : r.status;
            if (!mover_answered(&mover, &request_, status,
                                slice_make(r.bytes.data(), lose_answers ? 0 : r.bytes.size()), shard(from).now_ms)) {
                one.now_ms += 50;
                two.now_ms += 50;
            }
        } else {
            one.now_ms += 100;
            two.now_ms += 100;
        }
        return next;
    }

    /* Until the move is over or in that state. */
    bool run(uint32_t until = MOVE_OVER, int max = 5000)
    {
        for (int i = 0; i < max && !testing::Test::HasFailure(); i++) {
            if (state(mover.from.v, mover.account.v) == until && until != MOVE_OVER) {
                return true;
            }
            if (step() == MOVER_OVER) {
                return until == MOVE_OVER;
            }
        }
        return false;
    }

    template <class F> auto with(uint32_t in, F f) -> decltype(f(static_cast<const struct store *>(nullptr)))
    {
        struct store s = {};
        EXPECT_EQ(OK, kv_begin(shard(in).kv, false, &s.t));
        memcpy(s.prefix, shard(in).prefix, 5);
        auto r = f(&s);
        kv_abort(s.t);
        return r;
    }

    /* An account's rows as they are in a shard: what must be the same after a move. Bodies' places are not. */
    std::map<std::string, std::string> rows_of(uint32_t in, uint64_t account = kAlice)
    {
        std::map<std::string, std::string> found;
        uint8_t id[8];
        put_be64(id, account);
        std::string key(reinterpret_cast<char *>(id), 8);
        for (const auto &[k, v] : shard(in).state()) {
            if ((k[0] != 'a' && k[0] != 'c') || k.compare(1, 8, key) != 0) {
                continue;
            }
            std::string value = v;
            if (k[0] == 'a' && k[9] == 'e' && k.size() == 18) {
                memset(&value[offsetof(struct email_row, body_index)], 0, 8);
            }
            if (k[0] == 'a' && k[9] == 'A') {
                struct account_row row;
                memcpy(&row, value.data(), sizeof(row));
                row.uploads = 0;
                row.staged_bytes = 0;
                value.assign(reinterpret_cast<char *>(&row), sizeof(row));
            }
            found[k] = value;
        }
        return found;
    }

  private:
    Result send()
    {
        Shard &s = shard(request_.shard.v);
        std::string op(reinterpret_cast<const char *>(buf_slice(&request_.op).p), request_.op.len);
        std::string body(reinterpret_cast<const char *>(buf_slice(&request_.body).p), request_.body.len);
        if (request_.staged_index != 0) {
            Result r;
            r.status = s.chunk(request_.staged_index, body, request_.staged_offset);
            return r;
        }
        Options o;
        std::string id(reinterpret_cast<const char *>(request_.request_id.b), 16);
        o.request_id = request_.own_id ? id.c_str() : nullptr;
        struct entry_head h = s.head_of(request_.method, request_.shard.v == 0 ? 0 : mover.account.v, o);
        s.now_ms += 1;
        return s.apply_head(h, op, body);
    }
    struct mover_request request_;
};

} // namespace move_test

#endif /* TESTS_UNIT_STORAGE_APPLY_MOVE_RIG_H */
