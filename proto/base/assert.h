/* Assertions that stay on in release builds. For programmer errors only: nothing that arrives from the wire or the
 * disk may reach one (decoders return ERR_CORRUPT). A failure logs the expression and aborts. */
#ifndef PROTO_BASE_ASSERT_H
#define PROTO_BASE_ASSERT_H

#ifdef __cplusplus
extern "C" {
#endif

__attribute__((noreturn, cold)) void assert_failed(const char *expr, const char *file, int line);

#ifdef __cplusplus
}
#endif

#define ASSERT(x) (__builtin_expect(!!(x), 1) ? (void)0 : assert_failed(#x, __FILE__, __LINE__))
#define UNREACHABLE() assert_failed("unreachable", __FILE__, __LINE__)

#endif /* PROTO_BASE_ASSERT_H */
