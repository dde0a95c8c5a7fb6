/* What an RPC server, client and subscriber take off the wire: the stream of a connection, frames, hints, the
 * hello of a link, and the protobuf message of every method. The first byte chooses; what decodes is encoded again and
 * must decode to the same.
 */
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <protobuf-c/protobuf-c.h>

#include "proto/rpc/frame.h"
#include "proto/rpc/hello.h"
#include "proto/rpc/links.h"
#include "proto/rpc/method.h"
#include "proto/rpc/socket.h"
#include "proto/rpc/stream.h"

namespace
{

void must(bool x)
{
    if (!x) {
        abort();
    }
}

/* Whatever unpacks packs into the size that is announced. (It need not unpack again: the library keeps unknown fields
 * of tag 0, which it then refuses to read.) */
void unpack(const ProtobufCMessageDescriptor *d, slice bytes)
{
    if (d == nullptr) {
        return;
    }
    ProtobufCMessage *m = protobuf_c_message_unpack(d, nullptr, bytes.n, bytes.p);
    if (m == nullptr) {
        return;
    }
    size_t n = protobuf_c_message_get_packed_size(m);
    auto *packed = static_cast<uint8_t *>(malloc(n + 1));
    must(packed != nullptr);
    must(protobuf_c_message_pack(m, packed) == n);
    ProtobufCMessage *again = protobuf_c_message_unpack(d, nullptr, n, packed);
    if (again != nullptr) {
        protobuf_c_message_free_unpacked(again, nullptr);
    }
    free(packed);
    protobuf_c_message_free_unpacked(m, nullptr);
}

void unpack_as(unsigned number, slice bytes)
{
    const struct method_info *info = method_info(number);
    if (info != nullptr) {
        unpack(info->request, bytes);
        unpack(info->reply, bytes);
    }
}

void frame(slice bytes)
{
    rpc_head h;
    slice meta;
    slice attach;
    if (rpc_frame_decode(bytes, &h, &meta, &attach) != OK) {
        return;
    }
    must(meta.n == h.meta_bytes && attach.n == h.attach_bytes);
    must(RPC_HEAD_BYTES + meta.n + attach.n == bytes.n);
    uint8_t head[RPC_HEAD_BYTES];
    rpc_head_encode(&h, head);
    std::vector<uint8_t> copy(bytes.p, bytes.p + bytes.n);
    memcpy(copy.data(), head, sizeof(head));
    rpc_head again;
    must(rpc_frame_decode(slice_make(copy.data(), copy.size()), &again, &meta, &attach) == OK);
    uint8_t head_again[RPC_HEAD_BYTES];
    rpc_head_encode(&again, head_again);
    must(memcmp(head, head_again, sizeof(head)) == 0);
    unpack_as(h.method, meta);
}

void hint(slice bytes)
{
    rpc_hint h;
    if (rpc_hint_decode(bytes, &h) != OK) {
        return;
    }
    uint8_t once[RPC_HINT_BYTES];
    uint8_t twice[RPC_HINT_BYTES];
    rpc_hint_encode(&h, once);
    must(rpc_hint_decode(slice_make(once, sizeof(once)), &h) == OK);
    rpc_hint_encode(&h, twice);
    must(memcmp(once, twice, sizeof(once)) == 0);
}

/* A hello has one spelling. */
void hello(slice bytes)
{
    rpc_hello h;
    if (rpc_hello_decode(bytes, &h) != OK) {
        return;
    }
    must(h.lane < RPC_LANES && h.from.v != 0 && h.to.v != 0 && h.epoch != 0);
    uint8_t again[RPC_HELLO_BYTES_MAX];
    must(rpc_hello_encode(&h, again) == bytes.n && memcmp(again, bytes.p, bytes.n) == 0);
}

using Frames = std::vector<std::pair<uint64_t, std::string>>;

void frame_keep(void *user, uint64_t tag, nng_msg *m)
{
    static_cast<Frames *>(user)->emplace_back(tag,
                                              std::string(static_cast<const char *>(nng_msg_body(m)), nng_msg_len(m)));
    nng_msg_free(m);
}

/* The bytes that a peer sends, `piece` at a time; the frames that come out of them until the stream ends itself. */
Frames stream_run(const std::string &bytes, size_t piece)
{
    Frames got;
    int fd[2];
    rpc_poller poller;
    rpc_stream *s = nullptr;
    rpc_stream_ops ops;
    memset(&ops, 0, sizeof(ops));
    ops.on_frame = frame_keep;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0 && rpc_poller_open(&poller) == 0);
    must(rpc_stream_open(fd[0], &poller, &got, &ops, &got, &s) == OK);
    bool alive = true;
    for (size_t at = 0; alive && at < bytes.size();) {
        size_t n = bytes.size() - at < piece ? bytes.size() - at : piece;
        ssize_t sent = write(fd[1], bytes.data() + at, n);
        must(sent > 0);
        at += static_cast<size_t>(sent);
        alive = rpc_stream_run(s, false);
    }
    must(!alive || !rpc_stream_run(s, true));
    rpc_stream_free(s);
    rpc_poller_close(&poller);
    (void)close(fd[1]);
    return got;
}

/* However the network cuts them, the same frames. One input in two begins with the greeting. */
void stream(slice bytes)
{
    if (bytes.n == 0) {
        return;
    }
    std::string all = bytes.p[0] % 2 == 0 ? "PBXRPC1\n" : "";
    all.append(reinterpret_cast<const char *>(bytes.p) + 1, bytes.n - 1);
    Frames whole = stream_run(all, 4096);
    must(stream_run(all, 1 + bytes.p[0] / 8) == whole);
    size_t carried = 0;
    for (const auto &f : whole) {
        carried += 16 + f.second.size();
    }
    must(carried <= all.size());
}

constexpr uint8_t kStream = 254;
constexpr uint8_t kHello = 253;

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    slice rest = slice_make(data + 1, size - 1);
    if (data[0] == 0) {
        frame(rest);
    } else if (data[0] == 255) {
        hint(rest);
    } else if (data[0] == kStream) {
        stream(rest);
    } else if (data[0] == kHello) {
        hello(rest);
    } else {
        unpack_as(data[0], rest);
    }
    return 0;
}
