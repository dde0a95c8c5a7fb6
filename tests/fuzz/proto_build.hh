/* Packed messages out of fuzz input. Random bytes seldom are a message whose lengths fit and whose ids are there; here
 * a few bytes choose what each field of a descriptor holds, likely values first. */
#ifndef TESTS_FUZZ_PROTO_BUILD_HH
#define TESTS_FUZZ_PROTO_BUILD_HH

#include <cstdint>
#include <string>
#include <vector>

#include <protobuf-c/protobuf-c.h>

namespace proto_build
{

/* The input; zeros behind its end. */
struct Input {
    const uint8_t *p;
    size_t n;
    bool done() const
    {
        return n == 0;
    }
    uint8_t u8()
    {
        if (n == 0) {
            return 0;
        }
        n--;
        return *p++;
    }
    uint16_t u16()
    {
        uint16_t low = u8();
        return static_cast<uint16_t>(low | u8() << 8);
    }
    uint64_t u64()
    {
        uint64_t v = 0;
        for (int i = 0; i < 8; i++) {
            v = v << 8 | u8();
        }
        return v;
    }
    std::string bytes(size_t want)
    {
        want = want < n ? want : n;
        std::string s(reinterpret_cast<const char *>(p), want);
        p += want;
        n -= want;
        return s;
    }
};

/* What the fields of some names hold most of the time. */
struct Words {
    std::vector<std::string> strings;
    std::vector<std::string> records;
    std::vector<std::string> rows;
    uint64_t size = 0; /* of the body that comes with the message */
};

inline void varint(std::string *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) {
        out->push_back(static_cast<char>(v | 0x80));
    }
    out->push_back(static_cast<char>(v));
}

inline std::string uid_runs(Input *in, unsigned choice)
{
    std::string set;
    unsigned runs = 1 + choice % 4;
    varint(&set, runs);
    for (unsigned i = 0; i < runs; i++) {
        varint(&set, 1 + in->u8() % 16 + (i > 0 ? 1u : 0u));
        varint(&set, choice >= 100 ? in->u16() : in->u8() % 8);
    }
    return set;
}

inline std::string text_of(const std::string &name, uint8_t choice, Input *in, const Words &w)
{
    bool set = name == "uids" || name == "known";
    if (set && choice < 128) {
        return uid_runs(in, choice);
    }
    if (name == "record" && choice < 128 && !w.records.empty()) {
        return w.records[choice % w.records.size()];
    }
    if (name == "rows" && choice < 200 && !w.rows.empty()) {
        return w.rows[choice % w.rows.size()];
    }
    if ((name == "copy_id" || name == "objectid" || name == "token") && choice < 200) {
        return std::string(16, static_cast<char>(choice % 3));
    }
    if (choice < 200 && !w.strings.empty()) {
        return w.strings[choice % w.strings.size()];
    }
    return in->bytes(choice < 250 ? in->u8() : in->u16());
}

std::string build(const ProtobufCMessageDescriptor *d, Input *in, const Words &w, unsigned depth);

inline void field_put(const ProtobufCFieldDescriptor *f, uint8_t choice, Input *in, const Words &w, unsigned depth,
                      std::string *out)
{
    if (f->type == PROTOBUF_C_TYPE_MESSAGE || f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_BYTES) {
        std::string s;
        if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
            s = text_of(f->name, choice, in, w);
        } else if (depth > 0) {
            s = build(static_cast<const ProtobufCMessageDescriptor *>(f->descriptor), in, w, depth - 1);
        }
        varint(out, f->id << 3 | 2);
        varint(out, s.size());
        *out += s;
        return;
    }
    uint64_t v = choice < 240 ? choice - 1u : in->u64();
    if (std::string(f->name) == "size" && choice == 1) {
        v = w.size;
    }
    varint(out, f->id << 3);
    varint(out, v);
}

/* A field is a byte: 0 leaves it out, others choose what it holds, or how many of it there are. */
inline std::string build(const ProtobufCMessageDescriptor *d, Input *in, const Words &w, unsigned depth)
{
    std::string out;
    for (unsigned i = 0; i < d->n_fields && !in->done(); i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        uint8_t choice = in->u8();
        if (choice != 0 && f->label != PROTOBUF_C_LABEL_REPEATED) {
            field_put(f, choice, in, w, depth, &out);
        }
        for (unsigned k = 0; f->label == PROTOBUF_C_LABEL_REPEATED && k < choice % 6u && !in->done(); k++) {
            field_put(f, static_cast<uint8_t>(in->u8() | 1), in, w, depth, &out);
        }
    }
    return out;
}

} // namespace proto_build

#endif /* TESTS_FUZZ_PROTO_BUILD_HH */
