#include "program/config.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "program/config_keys.h"

namespace
{
struct Loaded {
    struct config c;
    enum err e;
    std::string why;
};

std::string write_file(const std::string &text)
{
    char path[] = "/tmp/pb-config-XXXXXX";
    int fd = mkstemp(path);
    EXPECT_GE(fd, 0);
    EXPECT_EQ(write(fd, text.data(), text.size()), (ssize_t)text.size());
    close(fd);
    return path;
}

Loaded load(const char *yaml, std::vector<const char *> sets = {})
{
    Loaded l{};
    struct buf why;
    buf_init(&why, 1 << 20);
    std::string path = yaml == nullptr ? "" : write_file(yaml);
    std::vector<struct config_override> o;
    for (const char *s : sets) {
        o.push_back({s});
    }
    l.e = config_load(&l.c, yaml == nullptr ? nullptr : path.c_str(), o.data(), o.size(), &why);
    l.why.assign((const char *)buf_slice(&why).p, buf_slice(&why).n);
    buf_fini(&why);
    if (yaml != nullptr) {
        unlink(path.c_str());
    }
    return l;
}
} // namespace

TEST(Config, DefaultsAreComplete)
{
    Loaded l = load(nullptr);
    ASSERT_EQ(l.e, OK) << l.why;
    EXPECT_EQ(l.c.storage_shards, 64u);
    EXPECT_EQ(l.c.message_bytes_max, 50u << 20);
    EXPECT_EQ(l.c.imap_idle_ms, 30u * 60 * 1000);
    EXPECT_STREQ(l.c.imap_listen, "127.0.0.1:2143");
    EXPECT_FALSE(l.c.insecure_auth);
    config_fini(&l.c);
}

TEST(Config, FileTakesNestedAndDottedKeys)
{
    Loaded l = load("# comment\nhostname: mx.example.test\nimap:\n  listen: 127.0.0.1:1143\n  idle_timeout: 45 min\n"
                    "storage.shards: 8\nstorage:\n  map_size: 2 GiB\nauth.insecure: true\n");
    ASSERT_EQ(l.e, OK) << l.why;
    EXPECT_STREQ(l.c.hostname, "mx.example.test");
    EXPECT_STREQ(l.c.imap_listen, "127.0.0.1:1143");
    EXPECT_EQ(l.c.imap_idle_ms, 45u * 60 * 1000);
    EXPECT_EQ(l.c.storage_shards, 8u);
    EXPECT_EQ(l.c.storage_map_bytes, 2ull << 30);
    EXPECT_TRUE(l.c.insecure_auth);
    config_fini(&l.c);
}

TEST(Config, UnknownKeyNamesFileAndLine)
{
    Loaded l = load("hostname: a\nimap:\n  lissten: x\n");
    EXPECT_EQ(l.e, ERR_INVAL);
    EXPECT_NE(l.why.find(":3: unknown key 'imap.lissten'"), std::string::npos) << l.why;
}

TEST(Config, BadValueNamesTheAllowedRange)
{
    Loaded l = load("storage.shards: 0\n");
    EXPECT_EQ(l.e, ERR_INVAL);
    EXPECT_NE(l.why.find(":1: bad value '0' for storage.shards: allowed is 1 to 4096"), std::string::npos) << l.why;
    l = load(nullptr, {"frontend.io_backend=kqueue"});
    EXPECT_EQ(l.e, ERR_INVAL);
    EXPECT_NE(l.why.find("one of auto|io_uring|epoll"), std::string::npos) << l.why;
    l = load(nullptr, {"imap.idle_timeout=20"});
    EXPECT_EQ(l.e, ERR_INVAL) << "a duration needs a unit";
}

TEST(Config, EveryProblemIsReportedAtOnce)
{
    Loaded l = load("a: 1\nb: 2\nstorage.readers: many\n", {"nonsense"});
    EXPECT_EQ(l.e, ERR_INVAL);
    EXPECT_EQ(std::count(l.why.begin(), l.why.end(), '\n'), 4) << l.why;
}

TEST(Config, BrokenYamlIsRefusedWithItsLine)
{
    Loaded l = load("hostname: a\n  bad: [\n");
    EXPECT_EQ(l.e, ERR_INVAL);
    EXPECT_NE(l.why.find(":2"), std::string::npos) << l.why;
    EXPECT_EQ(load("- a\n").e, ERR_INVAL);
    EXPECT_EQ(load("justtext\n").e, ERR_INVAL);
}

TEST(Config, AKeyThatStandsTwiceIsRefusedWithBothLines)
{
    Loaded l = load("imap.listen: 127.0.0.1:1\nhostname: a\nimap:\n  listen: 127.0.0.1:2\n");
    EXPECT_EQ(l.e, ERR_INVAL);
    EXPECT_NE(l.why.find(":4: imap.listen stands twice, first in line 1"), std::string::npos) << l.why;
}

TEST(Config, EveryKeyIsRefusedOutsideItsRangeAndTakenAtItsEnds)
{
    for (size_t i = 0; i < config_keys_n; i++) {
        const struct config_key *k = &config_keys[i];
        if (k->kind != CONFIG_U64 && k->kind != CONFIG_BYTES && k->kind != CONFIG_MS) {
            continue;
        }
        const char *unit = k->kind == CONFIG_MS ? " ms" : "";
        auto with = [&](uint64_t v) {
            std::string set = std::string(k->key) + "=" + std::to_string(v) + unit;
            Loaded l = load(nullptr, {set.c_str()});
            if (l.e == OK) {
                config_fini(&l.c);
            }
            EXPECT_EQ(l.e == OK, l.why.empty()) << set;
            return l.e;
        };
        EXPECT_EQ(with(k->min), OK) << k->key;
        EXPECT_EQ(with(k->max), OK) << k->key;
        EXPECT_EQ(with(k->max + 1), ERR_INVAL) << k->key;
        if (k->min > 0) {
            EXPECT_EQ(with(k->min - 1), ERR_INVAL) << k->key;
        }
    }
}

TEST(Config, SizesAreParsedAsTheFileHasThem)
{
    uint64_t v = 0;
    EXPECT_EQ(config_bytes_parse("1000000000", &v), OK);
    EXPECT_EQ(v, 1000000000u);
    EXPECT_EQ(config_bytes_parse("5GiB", &v), OK);
    EXPECT_EQ(v, 5ull << 30);
    for (const char *bad : {"", "x", "-1", "5 GB", "1.5 GiB", "99999999999999999999", "17000000 TiB", "1 GiB "}) {
        EXPECT_EQ(config_bytes_parse(bad, &v), ERR_INVAL) << bad;
    }
}

TEST(Config, EnvironmentBeatsFileAndSetBeatsEnvironment)
{
    setenv("PILLARBOX_IMAP_LISTEN", "127.0.0.1:1", 1);
    setenv("PILLARBOX_POP3_LISTEN", "127.0.0.1:2", 1);
    Loaded l = load("imap.listen: 127.0.0.1:9\n", {"pop3.listen=127.0.0.1:3"});
    unsetenv("PILLARBOX_IMAP_LISTEN");
    unsetenv("PILLARBOX_POP3_LISTEN");
    ASSERT_EQ(l.e, OK) << l.why;
    EXPECT_STREQ(l.c.imap_listen, "127.0.0.1:1");
    EXPECT_STREQ(l.c.pop3_listen, "127.0.0.1:3");
    config_fini(&l.c);
}

TEST(Config, WhatIsPrintedLoadsAgainToTheSame)
{
    Loaded a = load(nullptr, {"imap.idle_timeout=31 min", "storage.map_size=1536 MiB", "hostname=x\"\\ \t#:y.test"});
    ASSERT_EQ(a.e, OK) << a.why;
    struct buf out;
    buf_init(&out, 1 << 20);
    ASSERT_EQ(config_print(&a.c, &out), OK);
    std::string text((const char *)buf_slice(&out).p, buf_slice(&out).n);
    Loaded b = load(text.c_str());
    ASSERT_EQ(b.e, OK) << b.why;
    EXPECT_EQ(b.c.imap_idle_ms, a.c.imap_idle_ms);
    EXPECT_EQ(b.c.storage_map_bytes, a.c.storage_map_bytes);
    EXPECT_STREQ(b.c.hostname, "x\"\\ \t#:y.test");
    struct buf again;
    buf_init(&again, 1 << 20);
    ASSERT_EQ(config_print(&b.c, &again), OK);
    EXPECT_TRUE(slice_eq(buf_slice(&out), buf_slice(&again)));
    buf_fini(&out);
    buf_fini(&again);
    config_fini(&a.c);
    config_fini(&b.c);
}
