#include "proto/base/log.h"

#include <gtest/gtest.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <ctime>
#include <functional>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace
{

/* What the body writes to stderr. */
std::string capture(const std::function<void()> &body)
{
    int file = memfd_create("log", 0);
    fcntl(file, F_SETFL, O_APPEND); /* as a log file is opened: writers share no offset */
    int saved = dup(STDERR_FILENO);
    dup2(file, STDERR_FILENO);
    body();
    dup2(saved, STDERR_FILENO);
    close(saved);
    std::string out(static_cast<size_t>(lseek(file, 0, SEEK_END)), '\0');
    EXPECT_EQ(pread(file, &out[0], out.size(), 0), static_cast<ssize_t>(out.size()));
    close(file);
    return out;
}

/* A strict reader of one flat JSON object (RFC 8259); values come back decoded, numbers and null as they stand. */
class Json
{
  public:
    explicit Json(const std::string &text) : s(text)
    {
    }

    std::vector<std::pair<std::string, std::string>> object()
    {
        std::vector<std::pair<std::string, std::string>> out;
        want('{');
        do {
            std::string key = string();
            want(':');
            out.emplace_back(key, s.at(i) == '"' ? string() : word());
        } while (s.at(i) == ',' && ++i);
        want('}');
        if (i != s.size()) {
            throw std::runtime_error("more after the object");
        }
        return out;
    }

  private:
    void want(char c)
    {
        if (s.at(i) != c) {
            throw std::runtime_error(std::string("wanted ") + c + " at " + std::to_string(i));
        }
        i++;
    }

    std::string word()
    {
        size_t end = s.find_first_of(",}", i);
        std::string w = s.substr(i, end - i);
        i = end;
        size_t digits = w.find_first_not_of('-') == 1 ? 1 : 0;
        bool number = w.size() > digits && w.find_first_not_of("0123456789", digits) == std::string::npos;
        if (!number && w != "null") {
            throw std::runtime_error("bad word " + w);
        }
        return w;
    }

    std::string string()
    {
        std::string out;
        want('"');
        while (s.at(i) != '"') {
            unsigned char c = static_cast<unsigned char>(s[i]);
            if (c < 0x20) {
                throw std::runtime_error("raw control character");
            }
            out += c == '\\' ? escape() : utf8();
        }
        i++;
        return out;
    }

    std::string escape()
    {
        char c = s.at(i + 1);
        i += 2;
        if (c == '"' || c == '\\') {
            return std::string(1, c);
        }
        if (c != 'u' || s.find_first_not_of("0123456789abcdef", i) < i + 4) {
            throw std::runtime_error("bad escape");
        }
        unsigned v = static_cast<unsigned>(std::stoul(s.substr(i, 4), nullptr, 16));
        i += 4;
        if (v < 0x80) {
            return std::string(1, static_cast<char>(v));
        }
        return {static_cast<char>(0xc0 | v >> 6), static_cast<char>(0x80 | (v & 63))};
    }

    /* By value, unlike the code under test: decode, then refuse what is overlong, a surrogate or too large. */
    std::string utf8()
    {
        unsigned char c = static_cast<unsigned char>(s[i]);
        size_t n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
        if (n == 0 || i + n > s.size()) {
            throw std::runtime_error("bad UTF-8 lead");
        }
        uint32_t v = n == 1 ? c : c & (0x7fU >> n);
        for (size_t k = 1; k < n; k++) {
            unsigned char t = static_cast<unsigned char>(s[i + k]);
            if (t >> 6 != 2) {
                throw std::runtime_error("bad UTF-8 tail");
            }
            v = v << 6 | (t & 63);
        }
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff)) {
            throw std::runtime_error("bad UTF-8 value");
        }
        i += n;
        return s.substr(i - n, n);
    }

    const std::string &s;
    size_t i = 0;
};

/* The one line, checked and taken apart. */
std::vector<std::pair<std::string, std::string>> fields_of(const std::string &line)
{
    EXPECT_LE(line.size(), 4096u);
    EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
    std::string body = line.substr(0, line.size() - 1);
    try {
        return Json(body).object();
    } catch (const std::exception &e) {
        ADD_FAILURE() << e.what() << " in " << body;
        return {};
    }
}

std::map<std::string, std::string> map_of(const std::string &line)
{
    auto fields = fields_of(line);
    std::map<std::string, std::string> m(fields.begin(), fields.end());
    EXPECT_EQ(m.size(), fields.size());
    return m;
}

std::string logged(const std::string &value)
{
    std::string line = capture([&] { log_info("t", "m", LOG_SLICE("v", slice_make(value.data(), value.size()))); });
    return map_of(line)["v"];
}

} // namespace

TEST(Log, ALineIsAJsonObjectWithItsFieldsInOrder)
{
    time_t before = time(nullptr);
    std::string line = capture([] {
        log_info("imap.login", "logged in", LOG_STR("user", "alice"), LOG_SLICE("ip", slice_str("::1")),
                 LOG_U64("big", UINT64_MAX), LOG_I64("low", INT64_MIN), LOG_I64("up", 5), LOG_STR("none", nullptr),
                 LOG_ERR(ERR_QUOTA));
    });
    auto f = fields_of(line);
    ASSERT_EQ(f.size(), 11u);
    EXPECT_EQ(f[0].first, "ts");
    std::vector<std::pair<std::string, std::string>> want = {{"level", "info"},
                                                             {"event", "imap.login"},
                                                             {"msg", "logged in"},
                                                             {"user", "alice"},
                                                             {"ip", "::1"},
                                                             {"big", "18446744073709551615"},
                                                             {"low", "-9223372036854775808"},
                                                             {"up", "5"},
                                                             {"none", "null"},
                                                             {"err", "ERR_QUOTA"}};
    EXPECT_EQ(std::vector<decltype(want)::value_type>(f.begin() + 1, f.end()), want);
    EXPECT_NE(line.find("\"none\":null"), std::string::npos);
    struct tm tm = {};
    const char *rest = strptime(f[0].second.c_str(), "%Y-%m-%dT%H:%M:%S", &tm);
    ASSERT_NE(rest, nullptr);
    EXPECT_EQ(strlen(rest), 5u);
    EXPECT_EQ(rest[0], '.');
    EXPECT_EQ(rest[4], 'Z');
    EXPECT_GE(timegm(&tm), before);
    EXPECT_LE(timegm(&tm), before + 10);
}

TEST(Log, ALineWithoutFieldsIsComplete)
{
    auto m = map_of(capture([] { log_warn("a.b", "text"); }));
    EXPECT_EQ(m.size(), 4u);
    EXPECT_EQ(m["level"], "warn");
}

TEST(Log, QuotesAndControlCharactersAreEscaped)
{
    std::string all;
    for (int c = 0; c < 0x80; c++) {
        all += static_cast<char>(c);
    }
    EXPECT_EQ(logged(all), all);
    std::string line = capture([] { log_info("t", "m", LOG_STR("v", "\x1b[2J\x7f\xc2\x9b")); });
    EXPECT_NE(line.find("\\u001b[2J\\u007f\\u009b"), std::string::npos) << line;
}

TEST(Log, Utf8StaysAndOtherBytesAreSpelled)
{
    std::string good = "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80 \xef\xbf\xbf \xf4\x8f\xbf\xbf \xed\x9f\xbf";
    EXPECT_EQ(logged(good), good);
    EXPECT_EQ(logged("a\xff"
                     "b"),
              "a\\xffb");
    EXPECT_EQ(logged("\xc3"), "\\xc3");
    EXPECT_EQ(logged("\xc0\xaf"), "\\xc0\\xaf");
    EXPECT_EQ(logged("\xe0\x80\x80"), "\\xe0\\x80\\x80");
    EXPECT_EQ(logged("\xed\xa0\x80"), "\\xed\\xa0\\x80");
    EXPECT_EQ(logged("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
    EXPECT_EQ(logged("\xf0\x9f\x98"), "\\xf0\\x9f\\x98");
    EXPECT_EQ(logged("\xe2\x82\xc3\xbc"), "\\xe2\\x82\xc3\xbc");
}

TEST(Log, EveryLineOfRandomBytesIsValid)
{
    for (unsigned seed = 0; seed < 3000; seed++) {
        std::mt19937 random(seed);
        std::string v(random() % 60, '\0');
        for (auto &c : v) {
            c = static_cast<char>(random() % 2 == 0 ? random() | 0xc0 : random());
        }
        (void)logged(v);
    }
}

TEST(Log, ALongValueIsCutBetweenCharacters)
{
    for (const char *unit : {"x", "\"", "\x01", "\xff", "\xc3\xbc", "\xf0\x9f\x98\x80"}) {
        for (size_t n = 150; n < 1100; n++) {
            if (n > 300 && n < 500) {
                continue;
            }
            std::string v;
            for (size_t i = 0; i < n; i++) {
                v += unit;
            }
            std::string got = logged(v);
            if (got.size() >= 3 && got.substr(got.size() - 3) == "...") {
                ASSERT_GT(n, 160u);
                std::string kept = got.substr(0, got.size() - 3);
                if (*unit != '\xff') {
                    ASSERT_EQ(v.substr(0, kept.size()), kept);
                    ASSERT_EQ(kept.size() % strlen(unit), 0u);
                }
            } else if (*unit != '\xff') {
                ASSERT_EQ(got, v);
            }
        }
    }
    EXPECT_EQ(logged(std::string(1022, 'x')), std::string(1022, 'x'));
    EXPECT_EQ(logged(std::string(1023, 'x')), std::string(1019, 'x') + "...");
}

TEST(Log, FieldsThatDoNotFitAreLeftOutWhole)
{
    for (size_t n = 0; n < 1100; n++) {
        std::string pad(n, 'p');
        std::string full(2000, 'f');
        std::string line = capture([&] {
            log_info("t", "m", LOG_STR("a", full.c_str()), LOG_STR("b", full.c_str()), LOG_STR("c", full.c_str()),
                     LOG_STR("d", pad.c_str()), LOG_U64("number", 1234567890123), LOG_STR("e", "end"), LOG_I64("z", 7));
        });
        auto m = map_of(line);
        EXPECT_EQ(m["a"].size(), 1022u);
        if (m.count("number") != 0) {
            EXPECT_EQ(m["number"], "1234567890123");
        }
        if (m.count("z") != 0) {
            EXPECT_EQ(m["z"], "7");
        }
        if (m.count("e") != 0) {
            EXPECT_TRUE(m["e"] == "end" || m["e"] == "...");
        }
        if (n == 0) {
            EXPECT_EQ(m.size(), 11u);
        }
    }
}

TEST(Log, TheLevelDecidesAndArgumentsOfSilentLinesAreNotEvaluated)
{
    int evaluated = 0;
    auto touch = [&] { return static_cast<uint64_t>(++evaluated); };
    EXPECT_EQ(capture([&] { log_debug("t", "m", LOG_U64("v", touch())); }), "");
    EXPECT_EQ(evaluated, 0);
    log_set_level(LOG_LEVEL_DEBUG);
    EXPECT_NE(capture([&] { log_debug("t", "m", LOG_U64("v", touch())); }), "");
    EXPECT_EQ(evaluated, 1);
    log_set_level(LOG_LEVEL_ERROR);
    EXPECT_EQ(capture([] { log_warn("t", "m"); }), "");
    EXPECT_NE(capture([] { log_error("t", "m"); }), "");
    log_set_level(LOG_LEVEL_INFO);
}

TEST(Log, LevelsAreParsedByName)
{
    enum log_level level = LOG_LEVEL_ERROR;
    EXPECT_EQ(log_level_parse(slice_str("debug"), &level), OK);
    EXPECT_EQ(level, LOG_LEVEL_DEBUG);
    EXPECT_EQ(log_level_parse(slice_str("warn"), &level), OK);
    EXPECT_EQ(level, LOG_LEVEL_WARN);
    for (const char *bad : {"", "WARN", "warning", "inf"}) {
        EXPECT_EQ(log_level_parse(slice_str(bad), &level), ERR_INVAL);
    }
    EXPECT_EQ(level, LOG_LEVEL_WARN);
}

TEST(Log, KeepsErrnoAndSurvivesAClosedStderr)
{
    int saved = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    errno = ENOSPC;
    log_error("t", "m");
    int after = errno;
    dup2(saved, STDERR_FILENO);
    close(saved);
    EXPECT_EQ(after, ENOSPC);
}

TEST(Log, LinesOfThreadsDoNotMix)
{
    std::string out = capture([] {
        std::vector<std::thread> threads;
        for (uint64_t t = 0; t < 4; t++) {
            threads.emplace_back([t] {
                for (uint64_t i = 0; i < 100; i++) {
                    std::string pad(i * 9, 'p');
                    log_info("t", "m", LOG_U64("thread", t), LOG_STR("pad", pad.c_str()));
                }
            });
        }
        for (auto &t : threads) {
            t.join();
        }
    });
    size_t lines = 0;
    for (size_t at = 0; at < out.size(); lines++) {
        size_t end = out.find('\n', at);
        ASSERT_NE(end, std::string::npos);
        (void)fields_of(out.substr(at, end + 1 - at));
        at = end + 1;
    }
    EXPECT_EQ(lines, 400u);
}
