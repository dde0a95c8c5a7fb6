/* Every allocation that fails is an error for this client and nothing more. */
#include "imap_fixture.h"

#include "frontend/imap/imap_cmd.h"
#include "frontend/imap/imap_frame.h"
#include "frontend/imap/imap_list.h"
#include "frontend/imap/imap_view.h"
#include "proto/base/mem.h"

namespace
{

/* Runs f with the nth allocation failing, n = 1, 2, ... until none does. f gives what it came to. */
template <typename F> void fail_each(F f)
{
    for (uint64_t n = 1; n < 1000; n++) {
        mem_fail_nth(n);
        enum err e = f();
        bool fired = mem_fail_fired() != 0;
        mem_fail_nth(0);
        if (!fired) {
            EXPECT_EQ(OK, e);
            return;
        }
    }
    FAIL() << "allocations without end";
}

TEST(ImapMemory, ParsingACommand)
{
    for (const char *text :
         {"a FETCH 1:5,7 (FLAGS BODY[HEADER.FIELDS (A B)] BODY[1])", "a STORE 1 +FLAGS (\\Seen work)",
          "a LIST (SUBSCRIBED) \"\" (\"&AOQ-\" b)",
          "a SEARCH CHARSET utf-8 OR TEXT \"a\\\"\" (NOT NEW UID 4) HEADER a b", "a COPY 1 \"a\\\\b\""}) {
        fail_each([text] {
            struct arena arena;
            imap_command cmd;
            arena_init(&arena, 1 << 20);
            imap_parsed got =
                imap_command_parse(slice_str(text), IMAP_STATE_SELECTED, &imap_limits_default, &arena, &cmd);
            EXPECT_TRUE(got == IMAP_PARSED_OK || cmd.reply.text != nullptr);
            arena_fini(&arena);
            return got == IMAP_PARSED_OK ? OK : ERR_NOMEM;
        });
    }
}

TEST(ImapMemory, AnArenaThatIsFullRefusesTheCommand)
{
    for (size_t limit = 0; limit < 4096; limit += 48) {
        struct arena arena;
        imap_command cmd;
        arena_init(&arena, limit);
        imap_parsed got = imap_command_parse(slice_str("a SEARCH OR TEXT a (NOT NEW UID 4,5,6)"), IMAP_STATE_SELECTED,
                                             &imap_limits_default, &arena, &cmd);
        EXPECT_TRUE(got == IMAP_PARSED_OK || (got == IMAP_PARSED_BAD && cmd.reply.text != nullptr));
        arena_fini(&arena);
    }
}

TEST(ImapMemory, CollectingACommand)
{
    fail_each([] {
        imap_frame f;
        imap_frame_init(&f, 1000);
        enum err e = OK;
        std::string text = "a LOGIN " + std::string(500, 'x') + "\r\n";
        for (size_t at = 0; at < text.size() && e == OK; at += 100) {
            size_t n;
            imap_frame_status status;
            e = imap_frame_feed(&f, S(text.substr(at, 100)), &n, &status);
        }
        imap_frame_fini(&f);
        return e;
    });
}

TEST(ImapMemory, WorkingWithAView)
{
    imap_range ranges[] = {{5, 9}, {1, 2}, {12, 0}};
    imap_set set = {ranges, 3, true};
    fail_each([&set] {
        imap_view v;
        uidset in;
        uidset out;
        uidset compact;
        bool changed;
        char name[] = "work";
        char *names[] = {name};
        imap_view_init(&v);
        uidset_init(&in);
        uidset_init(&out);
        uidset_init(&compact);
        enum err e = OK;
        for (uint32_t uid = 1; uid < 40 && e == OK; uid += 2) {
            e = uidset_add(&in, uid);
        }
        e = e == OK ? imap_view_add(&v, &in, 7) : e;
        e = e == OK ? imap_view_resolve(&v, &set, false, &out) : e;
        e = e == OK ? imap_view_compact(&v, &out, &compact) : e;
        e = e == OK ? imap_view_to_seqs(&v, &out, &compact) : e;
        e = e == OK ? imap_view_own_add(&v, 5, &out) : e;
        e = e == OK ? imap_view_set_keywords(&v, names, 1, &changed) : e;
        e = e == OK ? imap_view_vanish(&v, &out) : e;
        e = e == OK ? imap_view_drop_gone(&v) : e;
        uidset_fini(&in);
        uidset_fini(&out);
        uidset_fini(&compact);
        imap_view_fini(&v);
        return e;
    });
}

TEST(ImapMemory, WritingALine)
{
    fail_each([] {
        Out o;
        imap_out_mailbox(&o.out, "Entw\xc3\xbcrfe");
        imap_out_string(&o.out, S("a\r\nb"));
        imap_out_flush(&o.out);
        return o.out.err;
    });
}

} // namespace
